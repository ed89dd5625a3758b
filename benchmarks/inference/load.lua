-- Rows of 30 floats. MODE=distinct: each one new; MODE=hits: nine in ten of 1,000 that come again.
local mode = os.getenv("MODE") or "distinct"
local seed = tonumber(os.getenv("SEED") or "1")
local rest = {}
for at = 2, 30 do rest[at - 1] = string.format("%.3f", at / 31) end
local tail = "," .. table.concat(rest, ",") .. "]}"
local path = os.getenv("TARGET") or "/predict"
local headers = { ["Content-Type"] = "application/json" }
local n = 0
function request()
  n = n + 1
  local first
  if mode == "hits" and n % 10 ~= 0 then
    first = string.format("0.%03d", (n * 7919) % 1000)
  else
    first = string.format("%d.%07d", seed, n)
  end
  return wrk.format("POST", path, headers, '{"features":[' .. first .. tail)
end
local bad = 0
function done(summary)
  io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration, summary.errors.status))
end
