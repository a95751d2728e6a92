-- SPDX-License-Identifier: Apache-2.0
-- Reads requests for wrk from the file that the first argument names. The file has blocks: a line each for the method,
-- the body and the headers, an empty line, a line for each path, an empty line. Requests use the paths of all blocks in
-- turn. The second argument, if there is one, is how many milliseconds a connection waits before each request. At the
-- end it writes the figures to standard error as one line of JSON.

local function read(name)
    local lines = {}
    for line in io.lines(name) do
        lines[#lines + 1] = line
    end
    return lines
end

local function block(lines, at)
    local method, body = lines[at], lines[at + 1]
    local headers = {}
    at = at + 2
    while lines[at] ~= '' do
        local name, value = lines[at]:match('^([^:]+): (.*)$')
        headers[name] = value
        at = at + 1
    end
    at = at + 1
    while lines[at] ~= '' do
        requests[#requests + 1] = wrk.format(method, lines[at], headers, body ~= '' and body or nil)
        at = at + 1
    end
    return at + 1
end

function init(args)
    local lines = read(args[1])
    requests = {}
    local at = 1
    while at <= #lines do
        at = block(lines, at)
    end
    turn = 0
    if args[2] then
        local pause = tonumber(args[2])
        function delay()
            return pause
        end
    end
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
