-- Sends the bytes of a file as they are, with the request's number for {n}, and writes what
-- happened as one line of JSON. Usage: wrk -s load.lua URL -- FILE
local parts = {}

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function split(text)
  local from = 1
  while true do
    local first, last = string.find(text, "{n}", from, true)
    if not first then
      parts[#parts + 1] = string.sub(text, from)
      return
    end
    parts[#parts + 1] = string.sub(text, from, first - 1)
    from = last + 1
  end
end

function init(args)
  split(read(args[1]))
  if #parts == 1 then
    -- Without a request function wrk asks for the bytes once and never enters Lua again.
    wrk.format = function() return parts[1] end
    return
  end
  wrk.format = function() return table.concat(parts, "0") end
  local number = 1000000
  request = function()
    number = number + 1
    return table.concat(parts, number)
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "bytes": %d, '
    .. '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}, '
    .. '"latency_us": {"p50": %.1f, "p90": %.1f, "p95": %.1f, "p99": %.1f, "p99.9": %.1f, '
    .. '"max": %.1f}}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(95),
    latency:percentile(99), latency:percentile(99.9), latency.max))
end
