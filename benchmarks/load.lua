-- Sends the requests of a file as they are, one after the other and again from the first, and
-- writes what happened as one line of JSON. Usage: wrk -s load.lua URL -- FILE
-- The file has for each request its length in decimal digits, a line feed, and its bytes.
local requests = {}
local threads = {}

local function read(path)
  local file = assert(io.open(path, "rb"))
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
end

function setup(thread)
  thread:set("ordinal", #threads)
  threads[#threads + 1] = thread
end

function init(args)
  prepare(args[1])
  -- What the process has used until here is no part of the load.
  used = os.clock()
end

function prepare(path)
  read(path)
  local count = #requests
  wrk.format = function() return requests[1] end
  -- Without a request function wrk asks for the bytes once and never enters Lua again.
  if count == 1 then return end
  -- Threads begin at different places, so that they do not send the same at about one time.
  local number = math.floor(count * 0.381966 * ordinal) % count
  request = function()
    number = number + 1
    if number > count then number = 1 end
    return requests[number]
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local before = 0
  for _, thread in ipairs(threads) do
    before = math.max(before, thread:get("used"))
  end
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "cpu_seconds": %.6f, "bytes": %d, '
    .. '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}, '
    .. '"latency_us": {"p50": %.1f, "p90": %.1f, "p95": %.1f, "p99": %.1f, "p99.9": %.1f, '
    .. '"max": %.1f}}\n',
    summary.requests, summary.duration / 1e6, os.clock() - before, summary.bytes,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(95),
    latency:percentile(99), latency:percentile(99.9), latency.max))
end
