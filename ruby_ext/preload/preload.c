/*
 * libhappysock_ruby.so: TCPSocket.new of a stock Ruby connects through happysock, without a rebuild. One file for each
 * version of Ruby from 3.1 on (nil has had another value since 3.2, and rsock_init_inetsock has gained arguments):
 *
 *     LD_PRELOAD=/path/to/libhappysock_ruby.so ruby program.rb
 *
 * The parts of ext/socket call each other through the dynamic linker, so a preloaded definition of one of them takes
 * its place. Two do here: rsock_init_inetsock, which connects, and rsock_init_ipsocket, which runs once when the socket
 * library is loaded. Servers and SOCKS clients go on to the originals.
 *
 * A preloaded library comes into every program that the process starts. It must load where there is no Ruby: functions
 * of Ruby are bound when they are called, variables of Ruby are weak.
 */

/* Ruby's configuration comes first: it asks libc for dladdr(3). */
#include "happy_ruby.c"

#include <dlfcn.h>

#pragma weak rb_cObject
#pragma weak rb_cIO
#pragma weak rb_cInteger
#pragma weak rb_eArgError
#pragma weak rb_eIOError
#pragma weak rb_eNoMemError

/* The type of a client in ext/socket; the others are servers and SOCKS clients. */
#define PRELOAD_INET_CLIENT 0

/* The stock socket library. */
static struct {
    VALUE (*init_inetsock)(HAPPY_RUBY_INETSOCK);
    VALUE (*init_sock)(VALUE self, int fd);
} preload_stock;

static void *
preload_symbol(void *library, const char *path, const char *name)
{
    void *symbol = dlsym(library, name);

    if (!symbol) rb_raise(rb_path2class("LoadError"), "libhappysock_ruby: %s has no %s", path, name);
    return symbol;
}

/*
 * Finds the library that `code` lies in: the caller's, which is loaded in a scope of its own where no default search
 * sees it.
 */
static void *
preload_find_stock(void *code, const char **ret_path)
{
    Dl_info caller;
    void *library = dladdr(code, &caller) ? dlopen(caller.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;

    if (!library) rb_raise(rb_path2class("LoadError"), "libhappysock_ruby: the socket library was not found");
    *ret_path = caller.dli_fname;
    return library;
}

void
rsock_init_ipsocket(void)
{
    const char *path;
    void *stock = preload_find_stock(__builtin_return_address(0), &path);
    void (*init_ipsocket)(void) = (void (*)(void))preload_symbol(stock, path, "rsock_init_ipsocket");

    preload_stock.init_inetsock = (VALUE (*)(HAPPY_RUBY_INETSOCK))preload_symbol(stock, path, "rsock_init_inetsock");
    preload_stock.init_sock = (VALUE (*)(VALUE, int))preload_symbol(stock, path, "rsock_init_sock");
    init_ipsocket();
    happy_ruby_define_errors(rb_path2class("IPSocket"));
}

VALUE
rsock_init_inetsock(HAPPY_RUBY_INETSOCK)
{
    if (type == PRELOAD_INET_CLIENT) {
        return happy_ruby_init_inetsock(preload_stock.init_sock, HAPPY_RUBY_INETSOCK_NAMES);
    }
    return preload_stock.init_inetsock(HAPPY_RUBY_INETSOCK_NAMES);
}
