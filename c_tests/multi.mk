# The examples of event loops. test_loops runs them.

LOOPS := poll_loop epoll_loop libuv_loop glib_loop
PACKAGES += loops

c-programs: $(LOOPS:%=$(C_DIRECTORY)/%)

$(LOOPS:%=$(C_DIRECTORY)/%): c_tests/examples/loop.h
# The flags of the loop's own library, after those of every C program.
$(C_DIRECTORY)/libuv_loop: C_LINK += $$(pkg-config --cflags --libs libuv)
$(C_DIRECTORY)/glib_loop: C_LINK += $$(pkg-config --cflags --libs glib-2.0)
