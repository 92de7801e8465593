-- Posts the lines of a file once each, in their order, and tells of each its status, how long it took in milliseconds,
-- and what the answer's Server-Timing says.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds, nanoseconds; } review_lm_time;
int clock_gettime(int clock, review_lm_time *time);
]]
local MONOTONIC = 1
local requests, answered, began = {}, 0, 0
local time = ffi.new("review_lm_time")

local function milliseconds()
   ffi.C.clock_gettime(MONOTONIC, time)
   return tonumber(time.seconds) * 1e3 + tonumber(time.nanoseconds) / 1e6
end

function init(arguments)
   local headers = { ["Content-Type"] = "application/json" }
   for line in io.lines(arguments[1]) do
      requests[#requests + 1] = wrk.format("POST", nil, headers, line)
   end
end

function request() -- which wrk asks for once more, before all others, to look at it
   began = milliseconds()
   return requests[math.min(answered + 1, #requests)]
end

function response(status, headers)
   answered = answered + 1
   if answered > #requests then return end
   io.write(string.format("%d %.3f %s\n", status, milliseconds() - began, headers["server-timing"]))
   if answered == #requests then
      io.write("all\n")
      io.flush()
      wrk.thread:stop()
   end
end
