-- Runs the tests, and sums up in one line. In scripts/in-test-network.
local folder = arg[0]:match("^(.*)/") or "."
package.path = folder .. "/?.lua;" .. folder .. "/../?.lua;" .. package.path

local passed, failed = 0, 0
for _, file in ipairs({ "test_layout", "test_connect", "test_coroutines" }) do
    for _, case in ipairs(require(file)) do
        local ok, why = xpcall(case.run, debug.traceback)
        if ok then
            passed = passed + 1
            print("ok " .. case.name)
        else
            failed = failed + 1
            print("FAILED " .. case.name .. "\n" .. tostring(why))
        end
    end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
