-- wrk's script: one POST, the same each time. Arguments: body file, signature (or -), pause between requests in
-- milliseconds.
-- With three more arguments (a file of signatures without separators, a first number, and a number to restart at) each
-- request has its number in its body, and the signature at that index.
-- Prints one line of JSON at the end; latencies in microseconds.
local pause = 0

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  wrk.method = 'POST'
  wrk.body = file:read('*a')
  file:close()
  wrk.headers['Content-Type'] = 'application/json'
  if args[2] ~= '-' then wrk.headers['Entrupy-Signature'] = args[2] end
  pause = tonumber(args[3] or '0')
  if args[4] then request = numbered(args[4], tonumber(args[5]), tonumber(args[6])) end
  if pause > 0 then delay = function() return pause end end
end

function numbered(path, first, last)
  local file = assert(io.open(path, 'rb'))
  local signatures = file:read('*a')
  file:close()
  local length = #'SHA256:' + 44
  local front, back = wrk.body:sub(1, -11), wrk.body:sub(-2)
  local head = 'POST /notify HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: '
    .. #wrk.body .. '\r\nEntrupy-Signature: '
  local nth = first
  return function()
    local signature = signatures:sub(nth * length + 1, (nth + 1) * length)
    local number = string.format('%08d', nth)
    nth = nth + 1
    if nth == last then nth = 0 end
    return head .. signature .. '\r\n\r\n' .. front .. number .. back
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"notOk":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
