-- Fetches a page over HTTP/1.0: luajit get.lua HOST [PORT [PATH]]
local happysock = require("happysock")

local host, port, path = arg[1] or "localhost", arg[2] or 80, arg[3] or "/"
local socket, message, failure = happysock.connect(host, port, { timeout = 10 })
if not socket then
    io.stderr:write(message, "\n")
    for _, attempt in ipairs(failure.attempts) do
        io.stderr:write(("  %s: %s\n"):format(attempt.address, attempt.outcome))
    end
    os.exit(1)
end
assert(socket:send(("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n"):format(path, host)))
repeat
    local part = assert(socket:receive())
    io.write(part)
until part == ""
socket:close()
