-- SPDX-License-Identifier: Apache-2.0
-- Reads requests for wrk from the file that the only argument names: a line each for the method, the body and the
-- headers, an empty line, and a line for each path. Requests use the paths in turn. At the end it writes the figures
-- to standard error as one line of JSON.

local function read(name)
    local lines = {}
    for line in io.lines(name) do
        lines[#lines + 1] = line
    end
    return lines
end

function init(args)
    local lines = read(args[1])
    local method, body = lines[1], lines[2]
    local headers, at = {}, 3
    while lines[at] ~= '' do
        local name, value = lines[at]:match('^([^:]+): (.*)$')
        headers[name] = value
        at = at + 1
    end
    requests = {}
    for index = at + 1, #lines do
        requests[#requests + 1] = wrk.format(method, lines[index], headers, body ~= '' and body or nil)
    end
    turn = 0
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency)
    local errors = summary.errors
    io.stderr:write(string.format(
        '{"seconds": %f, "requests": %d, "failed": %d, "p50": %f, "p99": %f}\n',
        summary.duration / 1e6, summary.requests,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
