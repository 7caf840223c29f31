-- Coroutines: `wait` yields, and a loop of the test's or of cqueues' goes on meanwhile.
local ffi = require("ffi")
local happysock = require("happysock")
local support = require("support")
local equal, takes, V4, AT_ONCE = support.equal, support.takes, support.V4, support.AT_ONCE

-- A loop that polls what coroutines wait for.
local function run_all(bodies)
    local waiting = {}
    local function step(routine)
        local ok, fd, mode = coroutine.resume(routine)
        assert(ok, fd)
        if coroutine.status(routine) ~= "dead" then
            waiting[#waiting + 1] = { routine = routine, fd = fd, mode = mode }
        end
    end
    for _, body in ipairs(bodies) do step(coroutine.create(body)) end
    while #waiting > 0 do
        local fds = ffi.new("struct happysock_pollfd[?]", #waiting)
        for index, entry in ipairs(waiting) do
            fds[index - 1].fd, fds[index - 1].events = entry.fd, entry.mode == "w" and 4 or 1
        end
        assert(ffi.C.poll(fds, #waiting, 20000) > 0, "nothing happens")
        local entries = waiting
        waiting = {}
        for index, entry in ipairs(entries) do
            if fds[index - 1].revents ~= 0 then step(entry.routine) else waiting[#waiting + 1] = entry end
        end
    end
end

local cases = {
    { name = "fifty at once on one thread", run = function()
        local listener, port = support.listen(V4)
        local bodies, arrived = {}, 0
        for _ = 1, 50 do
            bodies[#bodies + 1] = function()
                local socket = assert(happysock.connect("half.test", port, { wait = coroutine.yield }))
                support.answer(listener, "hello")
                equal(socket:receive(), "hello")
                socket:close()
                arrived = arrived + 1
            end
        end
        takes(0.2, 10, function() run_all(bodies) end)
        equal(arrived, 50)
        support.close(listener)
    end },
    { name = "what ends the wait ends the connect", run = function()
        local dns = support.silent_dns()
        local before = support.descriptors()
        for number = 1, 3 do
            local ok, why = pcall(happysock.connect, ("n%d.example"):format(number), 80, { wait = function() error("enough", 0) end })
            equal(ok, false)
            equal(why, "enough")
        end
        support.no_more_descriptors_than(before)
        support.close(dns)
    end },
    { name = "a connect of one's own loop", run = function()
        local connect = assert(happysock.start("silent.test", 80, { timeout = 0.1 }))
        equal(connect:dispatch(), false)
        equal(pcall(connect.take, connect), false)
        run_all({ function()
            while not connect:dispatch() do coroutine.yield(connect:get_fd(), "r") end
        end })
        equal(select(3, connect:take()).timed_out, true)
        connect:close()
    end },
}

local found, cqueues = pcall(require, "cqueues")
if found then
    cases[#cases + 1] = { name = "cqueues", run = function()
        local listener, port = support.listen(V4)
        local ticks, socket = 0, nil
        local queue = cqueues.new()
        queue:wrap(function()
            socket = assert(happysock.connect("half.test", port, { wait = function(fd, mode)
                cqueues.poll({ pollfd = fd, events = mode })
                cqueues.cancel(fd)
            end }))
        end)
        queue:wrap(function()
            while not socket do
                ticks = ticks + 1
                cqueues.sleep(0.01)
            end
        end)
        takes(0.2, 10, function() assert(queue:loop()) end)
        equal(socket.address, V4)
        assert(ticks > 3, "the others have not run")
        socket:close()
        support.close(listener)
    end }
else
    print("skipped: Lua, cqueues: it is not installed")
end
return cases
