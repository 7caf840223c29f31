/*
 * One client connect for Ruby: the part that CRuby's own ext/socket, the preload library and the gem share.
 *
 * Each of the three compiles this glue into its one object (happy_ruby.c includes the other files), so everything here
 * is static and no name of it shows in a symbol table.
 *
 * Two rules shape the code. A Ruby exception is a longjmp, and it must never cross a Rust frame: each call into the
 * library returns before anything of Ruby is called, and the library's callbacks call nothing of Ruby. And a handle
 * must be freed on each way out, a fiber that is never resumed included: it belongs to a Ruby object of its own.
 */
#ifndef HAPPY_RUBY_H
#define HAPPY_RUBY_H

#include <ruby/ruby.h>
#include <ruby/thread.h>
#include <ruby/version.h>
#include <ruby/fiber/scheduler.h>
#include <ruby/io.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "happysock.h"

/*
 * The Ruby this is compiled for, as major * 100 + minor. Its headers hold for this one only: 3.2 gave nil another
 * value.
 */
#define HAPPY_RUBY_VERSION (RUBY_API_VERSION_MAJOR * 100 + RUBY_API_VERSION_MINOR)

/*
 * The signature of rsock_init_inetsock, by which the parts of ext/socket ask for a socket. The later arguments came
 * with 3.4 and 4.0.
 */
#define HAPPY_RUBY_INETSOCK_BASE \
    VALUE self, VALUE remote_host, VALUE remote_serv, VALUE local_host, VALUE local_serv, int type, \
    VALUE resolv_timeout, VALUE connect_timeout
#define HAPPY_RUBY_INETSOCK_BASE_NAMES \
    self, remote_host, remote_serv, local_host, local_serv, type, resolv_timeout, connect_timeout
#if HAPPY_RUBY_VERSION >= 400
#  define HAPPY_RUBY_INETSOCK \
    HAPPY_RUBY_INETSOCK_BASE, VALUE open_timeout, VALUE fast_fallback, VALUE test_mode_settings
#  define HAPPY_RUBY_INETSOCK_NAMES HAPPY_RUBY_INETSOCK_BASE_NAMES, open_timeout, fast_fallback, test_mode_settings
#elif HAPPY_RUBY_VERSION >= 304
#  define HAPPY_RUBY_INETSOCK HAPPY_RUBY_INETSOCK_BASE, VALUE fast_fallback, VALUE test_mode_settings
#  define HAPPY_RUBY_INETSOCK_NAMES HAPPY_RUBY_INETSOCK_BASE_NAMES, fast_fallback, test_mode_settings
#else
#  define HAPPY_RUBY_INETSOCK HAPPY_RUBY_INETSOCK_BASE
#  define HAPPY_RUBY_INETSOCK_NAMES HAPPY_RUBY_INETSOCK_BASE_NAMES
#endif

/* How many attempts an exception lists. A race that made more is reported with its first ones. */
#define HAPPY_RUBY_ATTEMPTS 32

/* What a host of the glue asks for. Options are Ruby objects as the caller gave them, nil for the default. */
struct happy_ruby_request {
    VALUE remote_host, remote_service;
    VALUE local_host, local_service;
    VALUE addresses;                                      /* an Array of Addrinfo instead of the remote host, or nil */
    VALUE resolv_timeout, connect_timeout, open_timeout;  /* seconds */
    VALUE resolution_delay, connection_attempt_delay;     /* seconds */
    VALUE test_mode_settings;                             /* {delay: {ipv6: ms, ...}, error: {ipv4: EAI, ...}} */
    VALUE trace;                                          /* answers call(event), or nil */
    happy_history *history;                               /* lives until happy_connect_new has returned, or NULL */
    const char *nat64;                                    /* as in happy_options; lives as long */
    uint32_t flags;                                       /* HAPPY_FLAG_* besides those that the glue decides on */
    bool fast_fallback;
    bool ask_scheduler;                                   /* a fiber scheduler with address_resolve finds the addresses */
    bool socket_tcp;                                      /* word exceptions as Socket.tcp does, not as TCPSocket.new */

    /* Makes the Ruby socket from a connected descriptor. The descriptor is the glue's until this returns. */
    VALUE (*make_socket)(VALUE self, int fd);
    VALUE self;
};

/*
 * The library's userdata: what its callbacks need. Two owners: the glue and the library, whose abandoned lookups may
 * outlive the connect.
 */
struct happy_ruby_shared {
    atomic_int references;

    /* test_mode_settings, by family: 0 is IPv6, 1 is IPv4. */
    int delay_ms[2];
    int error[2];

    /* What follows is written by the thread that drives the race alone. */

    /* How the race stands, for the wording of exceptions. With a local address, in its family. */
    int local_family;
    int lookups_running, candidates_left, attempts_running;
    bool alone;                      /* the latest attempt is all that the race had left when it started */

    /* The race's steps since the last time that they were delivered to Ruby, where somebody wants to see them. */
    bool tracing;
    struct happy_ruby_event *events;
    size_t events_count, events_capacity;
};

/* One happy_trace_event with its address copied. */
struct happy_ruby_event {
    happy_trace_event event;
    struct sockaddr_storage address;
};

/*
 * What a connect owns. Where a fiber may be left in the middle and never resumed, so that no ensure runs, it lives in a
 * Ruby object and is released with that.
 */
struct happy_ruby_owned {
    happy_connect *connect;
    struct happy_ruby_shared *shared;
    struct addrinfo *addresses;      /* known addresses, or what a fiber scheduler found; else NULL */
    int fd;                          /* the winner, until a Ruby socket owns it */
};

/* One connect under way, on the stack. */
struct happy_ruby_connect {
    const struct happy_ruby_request *request;
    VALUE scheduler;                 /* the fiber scheduler to wait through, or nil */
    struct happy_ruby_owned *owned;
    char host[NI_MAXHOST], service[NI_MAXSERV];
    char local_host[NI_MAXHOST], local_service[NI_MAXSERV];
    bool literal;                    /* the remote host is an IP literal: no lookup, no race */
    bool timed_out;                  /* a time-out ended it that was not one of its limits */
    int local_family;                /* of a local host that is an IP literal, else AF_UNSPEC */
    happy_result result;
    happy_attempt attempts[HAPPY_RUBY_ATTEMPTS];
};

#endif
