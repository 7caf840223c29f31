set -e
cd /work/wt/faults
L=${L:-debug}
mkdir -p target/faults
gcc -std=c11 -O2 -g -Wall -Wextra -fPIC -shared -fvisibility=hidden -o target/faults/libshim.so c_tests/faults/shim.c
for p in ${P:-every_call}; do
gcc -std=c11 -O2 -g -Wall -Wextra -Iinclude -o target/faults/$p c_tests/faults/$p.c c_tests/faults/world.c c_tests/faults/scenarios.c -Ltarget/faults -lshim -Ltarget/$L -lhappysock -Wl,-rpath,/work/wt/faults/target/faults:/work/wt/faults/target/$L -pthread
done
