-- wrk's script: one POST, the same each time. Arguments: body file, signature (or -), pause between requests in milliseconds.
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
  if pause > 0 then delay = function() return pause end end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"notOk":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
