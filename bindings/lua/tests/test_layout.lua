-- The structs of happysock.lua are those of happysock.h: a C program tells its sizes and offsets.
local ffi = require("ffi")
require("happysock")
local source = io.open(arg[0]:match("^(.*)/") .. "/../happysock.lua"):read("*a")

local function program()
    local lines = { "#include <happysock.h>", "#include <stdio.h>", "int main(void)", "{" }
    local seen = 0
    for _, name in ipairs({ "happy_options", "happy_attempt", "happy_result" }) do
        local fields = source:match("typedef struct " .. name .. " {(.-)\n} " .. name)
        lines[#lines + 1] = ('printf("%s sizeof %%zu\\n", sizeof(%s));'):format(name, name)
        for field in fields:gmatch("([%w_]+);") do
            lines[#lines + 1] = ('printf("%s %s %%zu\\n", offsetof(%s, %s));'):format(name, field, name, field)
            seen = seen + 1
        end
    end
    assert(seen > 40, "the fields are found")
    lines[#lines + 1] = "return 0; }\n"
    return table.concat(lines, "\n")
end

return { { name = "the structs are those of the header", run = function()
    local binary = os.tmpname()
    local compiler = assert(io.popen(("%s -x c - -I%s -o %s"):format(os.getenv("CC") or "cc", os.getenv("HAPPYSOCK_INCLUDE"), binary), "w"))
    compiler:write(program())
    compiler:close()
    local checked = 0
    local told = assert(io.popen(binary))
    for line in told:lines() do
        local name, field, number = line:match("^(%S+) (%S+) (%d+)$")
        if field == "sizeof" then
            assert(tonumber(number) <= ffi.sizeof(name), line .. ": the room is used up")
        else
            assert(tonumber(number) == ffi.offsetof(name, field), line)
        end
        checked = checked + 1
    end
    told:close()
    os.remove(binary)
    assert(checked > 40, "the program told its layouts")
end } }
