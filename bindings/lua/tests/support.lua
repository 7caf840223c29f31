-- What the tests have in common. Limits on time are wide: they tell milliseconds from the seconds of a connect that hangs.
local ffi = require("ffi")
require("happysock")

ffi.cdef([[
struct support_v4 { uint16_t family; uint8_t port[2]; uint8_t address[4]; uint8_t zero[8]; };
struct support_time { long seconds, nanoseconds; };
int socket(int family, int kind, int protocol);
int bind(int fd, const void *address, unsigned int length);
int listen(int fd, int backlog);
int accept4(int fd, void *address, void *length, int flags);
int getsockname(int fd, void *address, unsigned int *length);
int inet_pton(int family, const char *text, void *address);
int clock_gettime(int clock, struct support_time *time);
]])
local C = ffi.C
local support = { V4 = "203.0.113.1", AT_ONCE = 10 }
local AF_INET, STREAM, DGRAM, CLOEXEC = 2, 1, 2, 0x80000

local function bound(kind, host, port)
    local fd = C.socket(AF_INET, kind + CLOEXEC, 0)
    local address = ffi.new("struct support_v4", AF_INET, { math.floor(port / 256), port % 256 })
    assert(C.inet_pton(AF_INET, host, address.address) == 1)
    assert(C.bind(fd, address, ffi.sizeof(address)) == 0)
    return fd, address
end

-- A listener's descriptor and port.
function support.listen(host)
    local fd, address = bound(STREAM, host, 0)
    assert(C.listen(fd, 100) == 0)
    assert(C.getsockname(fd, address, ffi.new("unsigned int[1]", ffi.sizeof(address))) == 0)
    return fd, address.port[0] * 256 + address.port[1]
end

-- Accepts one connection, reads a request where there will be one (what is left unread resets the connection), sends what is
-- given and closes it.
function support.answer(listener, text, asked)
    local ready = ffi.new("struct happysock_pollfd", listener, 1, 0)
    assert(C.poll(ready, 1, 20000) == 1, "nobody connects")
    local peer = C.accept4(listener, nil, nil, CLOEXEC)
    assert(peer >= 0)
    assert(not asked or C.read(peer, ffi.new("char[4096]"), 4096) > 0)
    assert(C.send(peer, text, #text, 0) == #text)
    C.close(peer)
end

-- A name server that never answers.
function support.silent_dns()
    return (bound(DGRAM, "127.0.0.53", 53))
end

function support.close(fd)
    C.close(fd)
end

function support.closed_port()
    local fd, port = support.listen("127.0.0.1")
    C.close(fd)
    return port
end

function support.now()
    local time = ffi.new("struct support_time")
    C.clock_gettime(1, time)
    return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

-- Runs a function and checks how many seconds it took.
function support.takes(least, most, run)
    local start = support.now()
    run()
    local taken = support.now() - start
    assert(taken >= least and taken < most, ("it took %.3f s"):format(taken))
end

function support.equal(got, expected)
    if got ~= expected then
        error(("%s is not %s"):format(tostring(got), tostring(expected)), 2)
    end
end

local function open_descriptors()
    local list = assert(io.popen("ls -l /proc/$PPID/fd"))
    local all = list:read("*a")
    list:close()
    return select(2, all:gsub("\n", "\n")), all
end

-- How many descriptors are open.
function support.descriptors()
    return (open_descriptors())
end

-- That no more are open, or will be in a moment: a worker may be inside libc, which opens files of its own.
function support.no_more_descriptors_than(most)
    local deadline, count, all = support.now() + 60, nil, nil
    repeat
        count, all = open_descriptors()
    until count <= most or support.now() > deadline
    assert(count <= most, "descriptors are left open:\n" .. all)
end

return support
