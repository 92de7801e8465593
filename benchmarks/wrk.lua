-- Posts the lines of a file, which wrk is given as its argument, in their order; tells the outcome as JSON.
local requests, place = {}, 0

function init(arguments)
   local headers = { ["Content-Type"] = "application/json" }
   for line in io.lines(arguments[1]) do
      requests[#requests + 1] = wrk.format("POST", nil, headers, line)
   end
end

function request()
   place = place % #requests + 1
   return requests[place]
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format(
      '\n{"requests_per_second": %.1f, "requests": %d, "failed": %d, "p50": %.3f, "p90": %.3f, "p99": %.3f}\n',
      1e6 * summary.requests / summary.duration, summary.requests, failed,
      latency:percentile(50) / 1000, latency:percentile(90) / 1000, latency:percentile(99) / 1000))
end
