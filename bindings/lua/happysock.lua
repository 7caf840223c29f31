-- Connects to hosts by name with Happy Eyeballs (RFC 8305), for LuaJIT.
--
--     local happysock = require("happysock")
--     local socket, message, failure = happysock.connect("example.org", 80, { timeout = 5 })
--
-- Blocking, unless `wait` says how to wait: then a coroutine may yield there. See README.md.

local bit = require("bit")
local ffi = require("ffi")

-- What of happysock.h and libc is called. The structs end in room for fields that a newer header may have: the library is told
-- how long they are, and 0 is the default of whatever is added. tests/test_layout.lua compares them with the header.
ffi.cdef([[
typedef uint32_t happysock_socklen_t;
struct happysock_storage { uint16_t family; uint8_t data[118]; uint64_t aligned; };

/* struct addrinfo of Linux: glibc and musl have the same. */
struct happysock_addrinfo {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    happysock_socklen_t ai_addrlen;
    void *ai_addr;
    char *ai_canonname;
    struct happysock_addrinfo *ai_next;
};
int getaddrinfo(const char *node, const char *service, const struct happysock_addrinfo *hints, struct happysock_addrinfo **ret_list);
void freeaddrinfo(struct happysock_addrinfo *list);

typedef struct happy_options {
    size_t size;
    const char *local_host;
    const char *local_service;
    int32_t family;
    int32_t preferred_family;
    uint32_t flags;
    int32_t lookup_flags;
    int32_t resolv_timeout_ms;
    int32_t connect_timeout_ms;
    int32_t open_timeout_ms;
    int32_t resolution_delay_ms;
    int32_t connection_attempt_delay_ms;
    uint32_t first_address_family_count;
    uint32_t max_attempts;
    void *lookup;
    void *lookup_free;
    void *configure_socket;
    void *trace;
    void *userdata;
    void *userdata_free;
    const struct happysock_addrinfo *addresses;
    const void *local_v4;
    const void *local_v6;
    void *history;
    const char *nat64;
    void *confirm;
    void *release_socket;
    uint64_t room[13];
} happy_options;

typedef struct happy_attempt {
    int32_t family;
    int32_t outcome;
    int32_t sys_errno;
    happysock_socklen_t address_length;
    const char *syscall;
    uint64_t started_ns;
    uint64_t ended_ns;
    struct happysock_storage address;
    uint64_t room[8];
} happy_attempt;

typedef struct happy_result {
    size_t size;
    int32_t status;
    int32_t fd;
    int32_t gai_error;
    int32_t sys_errno;
    const char *syscall;
    const char *argument;
    const char *reason;
    int32_t limit;
    int32_t local_at_fault;
    int32_t fell_back;
    uint32_t attempts_count;
    struct happysock_storage address;
    happysock_socklen_t address_length;
    happy_attempt *attempts;
    size_t attempts_capacity;
    size_t attempt_size;
    int32_t unanswered_v6;
    int32_t unanswered_v4;
    const char *source;
    uint64_t room[14];
} happy_result;

typedef struct happy_history happy_history;
int happy_history_new(happy_history **ret_history);
void happy_history_unref(happy_history *self);
int happy_history_flush(happy_history *self);

typedef struct happy_connect happy_connect;
const char *happy_version(void);
const char *happy_status_str(int status);
const char *happy_outcome_str(int outcome);
int happy_result_message(const happy_result *result, char *buffer, size_t size);
int happy_connect_new(const char *host, const char *service, const happy_options *options, happy_connect **ret_connect,
                      happy_result *ret_result);
int happy_connect_get_fd(happy_connect *self);
int happy_connect_dispatch(happy_connect *self);
int happy_connect_take_result(happy_connect *self, happy_result *ret_result);
void happy_connect_free(happy_connect *self);

struct happysock_pollfd { int fd; short events; short revents; };
int poll(struct happysock_pollfd *fds, unsigned long count, int timeout);
ssize_t read(int fd, void *buffer, size_t size);
ssize_t send(int fd, const void *buffer, size_t size, int flags);
int close(int fd);
char *strerror(int code);
const char *inet_ntop(int family, const void *address, char *text, happysock_socklen_t size);
]])

local C = ffi.C
local function load(name)
    local found, library = pcall(ffi.load, name)
    return found and library
end
local native = load("libhappysock.so.0") or ffi.load("happysock")

local OK, ETIMEOUT, EINVALID, EAGAIN = 0, -7003, -7005, -7008
local NO_FAST_FALLBACK, NONBLOCKING = 1, 2
local LOOKUP_BY_LIBC, GROWING_DELAY, SHARE_TIMEOUT, ONLY_CONNECTED_FAMILIES = 4, 8, 16, 32
local AF_INET, AF_INET6 = 2, 10
local SOCK_STREAM, AI_NUMERICHOST, AI_NUMERICSERV = 1, 4, 0x400
local EINTR, AGAIN = 4, 11
local POLLIN, POLLOUT, MSG_NOSIGNAL = 1, 4, 0x4000
local INT_MAX = 2147483647
local ATTEMPTS = 64

local happysock = { version = ffi.string(native.happy_version()) }

-- ---- Arguments ---------------------------------------------------------------------------------------------------------

local function check(value, kind, name, level)
    if type(value) ~= kind then
        error(("%s must be a %s, not %s"):format(name, kind, type(value)), level)
    end
    return value
end

-- A text without zero bytes: C would take what comes before one for the whole.
local function text(value, name)
    if type(value) == "number" and value % 1 == 0 then
        value = ("%d"):format(value)
    end
    check(value, "string", name, 5)
    if value:find("\0", 1, true) then
        error(name .. " has a zero byte", 5)
    end
    return value
end

-- Seconds as milliseconds, rounded up.
local function milliseconds(options, name, default)
    local seconds = options[name]
    if seconds == nil then
        return default
    end
    check(seconds, "number", name, 5)
    if not (seconds >= 0) then
        error(name .. " must not be negative", 5)
    end
    return math.min(math.ceil(seconds * 1000 - 0.0005), INT_MAX)
end

local function count(options, name, default)
    local number = options[name]
    if number == nil then
        return default
    end
    check(number, "number", name, 5)
    if number % 1 ~= 0 or number < 0 or number > INT_MAX then
        error(name .. " must be a whole number that is not negative", 5)
    end
    return number
end

local FAMILIES = { [0] = 0, [4] = AF_INET, [6] = AF_INET6 }
local KNOWN = {
    timeout = true, resolv_timeout = true, connect_timeout = true, resolution_delay = true, connection_attempt_delay = true,
    first_address_family_count = true, max_attempts = true, family = true, local_host = true, local_port = true,
    fast_fallback = true, history = true, nat64 = true, wait = true, growing_delay = true, share_timeout = true,
    only_connected_families = true, lookup_by_libc = true, addresses = true, local_v4 = true, local_v6 = true,
}

local History = {}
History.__index = History

-- What earlier connects have learnt, for those that come after them: the option `history`.
function happysock.history()
    local history = ffi.new("happy_history *[1]")
    if native.happy_history_new(history) ~= OK then
        error("out of memory", 2)
    end
    return setmetatable({ native = ffi.gc(history[0], native.happy_history_unref) }, History)
end

-- Forgets everything.
function History:flush()
    native.happy_history_flush(self.native)
end

-- An address and a port, as { "192.0.2.7", 80 }: a list of one, that is freed with it.
local function address_info(value, name, family)
    check(value, "table", name, 5)
    local host, port = text(value[1], name .. "'s address"), value[2] or 0
    if type(port) ~= "number" or port % 1 ~= 0 or port < 0 or port > 65535 then
        error(name .. ": a port is a number within 0 to 65535", 5)
    end
    local hints = ffi.new("struct happysock_addrinfo")
    hints.ai_flags, hints.ai_socktype = AI_NUMERICHOST + AI_NUMERICSERV, SOCK_STREAM
    local list = ffi.new("struct happysock_addrinfo *[1]")
    if C.getaddrinfo(host, ("%d"):format(port), hints, list) ~= 0 then
        error(("%s: no IP address: %s"):format(name, host), 5)
    end
    local info = ffi.gc(list[0], C.freeaddrinfo)
    if family and info.ai_family ~= family then
        error(("%s: an address of the other family: %s"):format(name, host), 5)
    end
    return info
end

-- Addresses as one list, and what has to live as long as it does.
local function address_list(values)
    check(values, "table", "addresses", 5)
    if #values == 0 then
        error("addresses must not be empty", 5)
    end
    local nodes, kept = ffi.new("struct happysock_addrinfo[?]", #values), {}
    for index, value in ipairs(values) do
        local info = address_info(value, "addresses", nil)
        kept[index], nodes[index - 1] = info, info[0]
        nodes[index - 1].ai_next = index < #values and nodes + index or nil
    end
    return nodes, kept
end

-- The options for C, and what has to live as long as they do.
local function native_options(options)
    for name in pairs(options) do
        if not KNOWN[name] then
            error("there is no option " .. tostring(name), 4)
        end
    end
    local family = FAMILIES[options.family or 0]
    if not family then
        error("family must be 4, 6 or 0", 4)
    end
    local kept = {
        options.local_host ~= nil and text(options.local_host, "local_host") or nil,
        options.local_port ~= nil and text(options.local_port, "local_port") or nil,
    }
    local native_options = ffi.new("happy_options")
    -- A pointer into a string of Lua's keeps nothing alive: `kept` does.
    native_options.size = ffi.sizeof("happy_options")
    if options.local_host ~= nil then native_options.local_host = kept[1] end
    if options.local_port ~= nil then native_options.local_service = kept[2] end
    if options.nat64 ~= nil then
        kept[4] = text(options.nat64, "nat64")
        native_options.nat64 = kept[4]
    end
    if options.history ~= nil then
        if getmetatable(options.history) ~= History then
            error("history must be made by happysock.history", 4)
        end
        native_options.history, kept[3] = options.history.native, options.history
    end
    if options.addresses ~= nil then
        kept[5], kept[6] = address_list(options.addresses)
        native_options.addresses = kept[5]
    end
    if options.local_v4 ~= nil then
        kept[7] = address_info(options.local_v4, "local_v4", AF_INET)
        native_options.local_v4 = kept[7].ai_addr
    end
    if options.local_v6 ~= nil then
        kept[8] = address_info(options.local_v6, "local_v6", AF_INET6)
        native_options.local_v6 = kept[8].ai_addr
    end
    native_options.family = family
    native_options.flags = (options.fast_fallback == false and NO_FAST_FALLBACK or 0) + (options.wait and NONBLOCKING or 0)
        + (options.growing_delay and GROWING_DELAY or 0) + (options.share_timeout and SHARE_TIMEOUT or 0)
        + (options.only_connected_families and ONLY_CONNECTED_FAMILIES or 0) + (options.lookup_by_libc and LOOKUP_BY_LIBC or 0)
    native_options.open_timeout_ms = milliseconds(options, "timeout", -1)
    native_options.resolv_timeout_ms = milliseconds(options, "resolv_timeout", -1)
    native_options.connect_timeout_ms = milliseconds(options, "connect_timeout", -1)
    native_options.resolution_delay_ms = milliseconds(options, "resolution_delay", 50)
    native_options.connection_attempt_delay_ms = milliseconds(options, "connection_attempt_delay", 250)
    native_options.first_address_family_count = count(options, "first_address_family_count", 1)
    native_options.max_attempts = count(options, "max_attempts", 0)
    return native_options, kept
end

-- ---- Waiting -----------------------------------------------------------------------------------------------------------

-- Blocks until a descriptor is readable ("r") or writable ("w"): what `wait` is unless given.
local function block(fd, mode)
    local ready = ffi.new("struct happysock_pollfd", fd, mode == "w" and POLLOUT or POLLIN, 0)
    while C.poll(ready, 1, -1) < 0 do
        if ffi.errno() ~= EINTR then
            error("poll(2): " .. ffi.string(C.strerror(ffi.errno())), 0)
        end
    end
end

-- ---- Sockets -----------------------------------------------------------------------------------------------------------

local Socket = {}
Socket.__index = Socket

-- `fd` becomes the socket's: it is closed with it.
local function socket_of(fd, wait, address, port)
    local socket = setmetatable({ fd = fd, wait = wait or block, address = address, port = port }, Socket)
    -- Tables have no __gc in LuaJIT; a cdata has.
    socket.guard = ffi.gc(ffi.new("int[1]", fd), function(guard)
        if guard[0] >= 0 then C.close(guard[0]) end
    end)
    return socket
end

local function failed(call)
    local code = ffi.errno()
    return nil, call .. ": " .. ffi.string(C.strerror(code)), { errno = code }
end

-- Sends all of `data`. True, or nil and what went wrong.
function Socket:send(data)
    check(data, "string", "data", 3)
    local sent = 0
    while sent < #data do
        local written = C.send(self.fd, ffi.cast("const char *", data) + sent, #data - sent, MSG_NOSIGNAL)
        if written >= 0 then
            sent = sent + tonumber(written)
        elseif ffi.errno() == AGAIN then
            self.wait(self.fd, "w")
        elseif ffi.errno() ~= EINTR then
            return failed("send(2)")
        end
    end
    return true
end

-- What has arrived, up to `size` bytes (4096 unless given), waited for where nothing has; "" at the end. Or nil and what went
-- wrong.
function Socket:receive(size)
    size = check(size or 4096, "number", "size", 3)
    local buffer = ffi.new("char[?]", size)
    while true do
        local got = C.read(self.fd, buffer, size)
        if got >= 0 then
            return ffi.string(buffer, got)
        elseif ffi.errno() == AGAIN then
            self.wait(self.fd, "r")
        elseif ffi.errno() ~= EINTR then
            return failed("read(2)")
        end
    end
end

-- Hands the descriptor over, for another library: cqueues' socket.fdopen, luv's tcp:open. The socket is of no use any more.
function Socket:detach()
    local fd = self.fd
    self.fd, self.guard[0] = -1, -1
    return fd
end

function Socket:close()
    if self.fd >= 0 then
        C.close(self:detach())
    end
end

-- ---- Connects ----------------------------------------------------------------------------------------------------------

local function address_of(storage, length)
    local bytes = ffi.cast("const uint8_t *", storage)
    if length == 0 then
        return nil
    end
    local family = ffi.cast("const uint16_t *", bytes)[0]
    local place = family == AF_INET and 4 or 8
    local room = ffi.new("char[64]")
    if C.inet_ntop(family, bytes + place, room, 64) == nil then
        return nil
    end
    return ffi.string(room), bit.lshift(bytes[2], 8) + bytes[3]
end

local function string_or_nil(pointer)
    return pointer ~= nil and ffi.string(pointer) or nil
end

-- Where the attempts of a result are told; they are copied out before anything else can happen.
local ROOM = ffi.new("happy_attempt[?]", ATTEMPTS)

local function new_result()
    local result = ffi.new("happy_result")
    result.size = ffi.sizeof("happy_result")
    result.attempts, result.attempts_capacity, result.attempt_size = ROOM, ATTEMPTS, ffi.sizeof("happy_attempt")
    return result
end

local function message_of(result)
    local buffer = ffi.new("char[512]")
    return native.happy_result_message(result, buffer, 512) < 0 and "" or ffi.string(buffer)
end

-- nil, the sentence that a person reads, and what it was.
local function failure_of(result)
    local attempts = {}
    for index = 0, math.min(result.attempts_count, ATTEMPTS) - 1 do
        local attempt = ROOM[index]
        local address, port = address_of(attempt.address, attempt.address_length)
        attempts[#attempts + 1] = {
            address = address,
            port = port,
            outcome = ffi.string(native.happy_outcome_str(attempt.outcome)),
            errno = attempt.sys_errno ~= 0 and attempt.sys_errno or nil,
            syscall = string_or_nil(attempt.syscall),
            started = tonumber(attempt.started_ns) / 1e9,
            ended = tonumber(attempt.ended_ns) / 1e9,
        }
    end
    return nil, message_of(result), {
        status = ffi.string(native.happy_status_str(result.status)),
        timed_out = result.status == ETIMEOUT,
        gai_error = result.gai_error ~= 0 and result.gai_error or nil,
        errno = result.sys_errno ~= 0 and result.sys_errno or nil,
        syscall = string_or_nil(result.syscall),
        argument = string_or_nil(result.argument),
        source = string_or_nil(result.source),
        attempts = attempts,
    }
end

local Connect = {}
Connect.__index = Connect

-- The descriptor: watch it for reading, and call dispatch whenever it is readable. Timers are in it.
function Connect:get_fd()
    local fd = native.happy_connect_get_fd(self.native)
    if fd < 0 then
        return failed("happy_connect_get_fd")
    end
    return fd
end

-- Does what is due, without waiting. True once it is finished.
function Connect:dispatch()
    return native.happy_connect_dispatch(self.native) ~= EAGAIN
end

-- The socket; or nil, a message and a table about it. The connect is closed then.
function Connect:take()
    local result = new_result()
    local fd = native.happy_connect_take_result(self.native, result)
    if result.status == EAGAIN then
        error("the connect is not finished", 2)
    end
    self:close()
    if fd < 0 then
        return failure_of(result)
    end
    return socket_of(fd, self.wait, address_of(result.address, result.address_length))
end

-- Ends it, at once.
function Connect:close()
    if self.native ~= nil then
        native.happy_connect_free(ffi.gc(self.native, nil))
        self.native = ffi.cast("happy_connect *", nil)
    end
end

local function start(host, port, options)
    options = check(options or {}, "table", "options", 4)
    if options.wait ~= nil and type(options.wait) ~= "function" then
        error("wait must be a function", 4)
    end
    local node, service = text(host, "host"), text(port, "port")
    local chosen, kept = native_options(options)
    local connect, result = ffi.new("happy_connect *[1]"), new_result()
    local status = native.happy_connect_new(node, service, chosen, connect, result)
    if status ~= OK then
        if status == EINVALID and result.gai_error == 0 then
            error(message_of(result), 4)
        end
        return failure_of(result)
    end
    local guarded = ffi.gc(connect[0], native.happy_connect_free)
    return setmetatable({ native = guarded, wait = options.wait, kept = kept }, Connect)
end

-- A connect for a loop of the caller's: get_fd, dispatch, take, close. Or nil, a message and a table about it.
function happysock.start(host, port, options)
    return start(host, port, options)
end

-- Connects and gives a socket; or nil, the sentence that a person reads and a table about it (status, timed_out, gai_error,
-- errno, syscall, source, attempts). Arguments that will not do are an error.
function happysock.connect(host, port, options)
    local connect, message, failure = start(host, port, options)
    if not connect then
        return nil, message, failure
    end
    local wait = connect.wait or block
    local fd
    fd, message, failure = connect:get_fd()
    if not fd then
        connect:close()
        return nil, message, failure
    end
    local ok, why = pcall(function()
        while not connect:dispatch() do
            wait(fd, "r")
        end
    end)
    if not ok then
        -- Whatever ends the wait ends the connect.
        connect:close()
        error(why, 0)
    end
    return connect:take()
end

return happysock
