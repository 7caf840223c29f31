-- connect, blocking.
local happysock = require("happysock")
local support = require("support")
local equal, takes, V4, AT_ONCE = support.equal, support.takes, support.V4, support.AT_ONCE

return {
    { name = "a half dead name costs a quarter of a second", run = function()
        local listener, port = support.listen(V4)
        takes(0.2, 10, function()
            local socket = assert(happysock.connect("half.test", port, { timeout = 10 }))
            equal(socket.address, V4)
            equal(socket.port, port)
            support.answer(listener, "hello")
            equal(socket:receive(), "hello")
            equal(socket:receive(), "")
            socket:close()
            socket:close()
        end)
        support.close(listener)
    end },
    { name = "bytes go both ways", run = function()
        local listener, port = support.listen("127.0.0.1")
        local socket = assert(happysock.connect("localhost", tostring(port), { family = 4, local_host = "127.0.0.9" }))
        equal(socket:send("good"), true)
        support.answer(listener, "bye", true)
        equal(socket:receive(2), "by")
        local fd = socket:detach()
        assert(fd >= 0)
        support.close(fd)
        support.close(listener)
    end },
    { name = "known addresses are attempted instead of a lookup", run = function()
        local listener, port = support.listen(V4)
        -- The delay is long: what comes first is refused, and so the next one has its turn at once.
        local options = { addresses = { { "2001:db8:1::1", port }, { V4, port } }, connection_attempt_delay = 2 }
        local socket = assert(happysock.connect("no.such.host.test", 1, options))
        equal(socket.address, V4)
        socket:close()
        support.close(listener)
        options = { addresses = { { "127.0.0.1", 1 }, { "::1", 2 } }, fast_fallback = false }
        local attempts = select(3, happysock.connect("no.such.host.test", 1, options)).attempts
        equal(attempts[1].address .. " " .. attempts[1].port, "127.0.0.1 1")
        equal(attempts[2].address .. " " .. attempts[2].port, "::1 2")
    end },
    { name = "each family has a local address", run = function()
        -- Neither is one of this system's, so that it is told whether it was bound to.
        local options = { local_v4 = { "198.51.100.9" }, local_v6 = { "2001:db8:9::9", 0 } }
        local attempts = select(3, happysock.connect("dual.test", support.closed_port(), options)).attempts
        equal(#attempts, 2)
        for _, attempt in ipairs(attempts) do
            equal(attempt.syscall, "bind(2)")
            equal(attempt.errno, 99)
        end
    end },
    { name = "a failure is nil, a sentence and the attempts", run = function()
        local port = support.closed_port()
        local socket, message, failure = happysock.connect("dual.test", port)
        equal(socket, nil)
        assert(message:match("^connect%(2%) to .*: Connection refused$"), message)
        equal(failure.errno, 111)
        equal(failure.timed_out, false)
        equal(#failure.attempts, 2)
        for _, attempt in ipairs(failure.attempts) do
            equal(attempt.outcome, "failed")
            equal(attempt.port, port)
            assert(attempt.address == "::1" or attempt.address == "127.0.0.1", attempt.address)
        end
        socket, message, failure = happysock.connect("no.such.host.test", 80)
        equal(socket, nil)
        assert(failure.gai_error == -2 or failure.gai_error == -3, message)
        equal(#failure.attempts, 0)
    end },
    { name = "without a race a silent address leaves the others their share", run = function()
        local listener, port = support.listen(V4)
        local options = { timeout = 8, fast_fallback = false, share_timeout = true, growing_delay = true,
                          only_connected_families = true }
        -- Without its share of 4 s the silent address would have all of the time.
        local socket = assert(happysock.connect("half.test", port, options))
        equal(socket.address, V4)
        socket:close()
        support.close(listener)
    end },
    { name = "libc is asked where it is to be", run = function()
        for source, by_libc in pairs({ hosts = false, libc = true }) do
            local options = { lookup_by_libc = by_libc }
            equal(select(3, happysock.connect("dual.test", support.closed_port(), options)).source, source)
        end
    end },
    { name = "limits", run = function()
        takes(2.9, 30, function()
            local options = { timeout = 3, connection_attempt_delay = 0.02 }
            local socket, _, failure = happysock.connect("silent.test", 80, options)
            equal(socket, nil)
            equal(failure.timed_out, true)
            equal(#failure.attempts, 2)
        end)
        takes(0, AT_ONCE, function()
            equal(select(3, happysock.connect("silent.test", 80, { timeout = 0 })).timed_out, true)
        end)
    end },
    { name = "with a history a dead family costs one delay", run = function()
        local listener, port = support.listen(V4)
        local history = happysock.history()
        -- The winner takes less than the delay: otherwise the other one does not pass for unanswered.
        takes(1.9, 30, function()
            local options = { history = history, connection_attempt_delay = 2 }
            assert(happysock.connect("half.test", port, options)):close()
        end)
        -- Nobody listens there, so that what was attempted first is told.
        local function first()
            local options = { history = history, timeout = 3 }
            return select(3, happysock.connect("half.test", support.closed_port(), options)).attempts[1].address
        end
        equal(first(), V4)
        history:flush()
        equal(first(), "2001:db8::77")
        support.close(listener)
    end },
    { name = "bad arguments are errors", run = function()
        for name, arguments in pairs({
            ["host must be a string"] = { nil, 80 },
            ["port must be a string"] = { "localhost", 80.5 },
            ["host has a zero byte"] = { "local\0host", 80 },
            ["options must be a table"] = { "localhost", 80, 5 },
            ["there is no option timeuot"] = { "localhost", 80, { timeuot = 5 } },
            ["timeout must be a number"] = { "localhost", 80, { timeout = "5" } },
            ["timeout must not be negative"] = { "localhost", 80, { timeout = -1 } },
            ["max_attempts must be a whole number"] = { "localhost", 80, { max_attempts = 1.5 } },
            ["family must be 4, 6 or 0"] = { "localhost", 80, { family = 5 } },
            ["history must be made by"] = { "localhost", 80, { history = {} } },
            ["nat64: the length of a prefix"] = { "localhost", 80, { nat64 = "64:ff9b::/95" } },
            ["addresses must be a table"] = { "localhost", 80, { addresses = V4 } },
            ["addresses must not be empty"] = { "localhost", 80, { addresses = {} } },
            ["addresses: no IP address: localhost"] = { "localhost", 80, { addresses = { { "localhost", 80 } } } },
            ["addresses: a port is"] = { "localhost", 80, { addresses = { { V4, 65536 } } } },
            ["local_v4: an address of the other"] = { "localhost", 80, { local_v4 = { "::1" } } },
            ["local_v6's address must be a string"] = { "localhost", 80, { local_v6 = {} } },
            ["local_v4: cannot be set together"] = { "localhost", 80, { local_v4 = { V4 }, local_host = V4 } },
            ["nat64 must be a string"] = { "localhost", 80, { nat64 = true } },
            ["wait must be a function"] = { "localhost", 80, { wait = 5 } },
            ["open_timeout_ms: cannot be set together"] = { "localhost", 80, { timeout = 1, connect_timeout = 1 } },
        }) do
            local ok, why = pcall(happysock.connect, arguments[1], arguments[2], arguments[3])
            assert(not ok and tostring(why):find(name, 1, true), name .. ": " .. tostring(why))
        end
        -- What getaddrinfo(3) has a code for is a failure of the connect.
        equal(select(3, happysock.connect("local host", 80)).gai_error, -2)
        equal(select(3, happysock.connect("localhost", 65536)).gai_error, -8)
    end },
    { name = "the example", run = function()
        local listener, port = support.listen(V4)
        local folder = arg[0]:match("^(.*)/") .. "/.."
        local command = ("LUA_PATH='%s/?.lua' luajit %s/examples/get.lua half.test %d /page"):format(folder, folder, port)
        local running = assert(io.popen(command))
        support.answer(listener, "hello", true)
        equal(running:read("*a"), "hello")
        running:close()
        support.close(listener)
    end },
    { name = "nothing is left open", run = function()
        happysock.connect("no.such.host.test", 80)
        collectgarbage()
        collectgarbage()
        local before = support.descriptors()
        for _ = 1, 20 do
            happysock.connect("silent.test", 80, { timeout = 0.01 })
            -- Given up without a word: the collector ends it.
            happysock.start("silent.test", 80):dispatch()
        end
        collectgarbage()
        collectgarbage()
        support.no_more_descriptors_than(before)
    end },
}
