-- The check for nginx's Lua, with OpenSSL's HMAC from Debian's lua-luaossl (lua-resty-openssl is not in Debian).
-- Compared as text: not in constant time.
local hmac = require('openssl.hmac')

return function(secret)
  return function()
    ngx.req.read_body()
    local want = hmac.new(secret, 'sha256'):final(ngx.req.get_body_data() or '')
    if ngx.var.http_entrupy_signature ~= 'SHA256:' .. ngx.encode_base64(want) then
      ngx.status = 401
      ngx.header['Content-Type'] = 'application/json'
      ngx.print('{"error":"unauthorized"}')
      return ngx.exit(401)
    end
  end
end
