/*
 * IPSocket, and how a TCP socket comes to be: stands in the place of CRuby's ext/socket/ipsocket.c, for CRuby 3.1 to
 * 4.0 and master. Clients connect through happysock; servers and SOCKS clients bind, listen and connect here, one
 * address after the other.
 *
 * Built inside ext/socket: rubysocket.h is CRuby's, happy_ruby.c is found on the include path.
 */

#include "rubysocket.h"
#include "happy_ruby.c"

#if HAPPY_RUBY_VERSION >= 400
#  define RSOCK_ADDRINFO(host, service, flags) rsock_addrinfo(host, service, AF_UNSPEC, SOCK_STREAM, flags, Qnil)
#else
#  define RSOCK_ADDRINFO(host, service, flags) rsock_addrinfo(host, service, AF_UNSPEC, SOCK_STREAM, flags)
#endif

/* ---- servers and SOCKS clients ---- */

struct inet_open {
    VALUE self;
    VALUE remote_host, remote_service, local_host, local_service;
    int type;
    struct rb_addrinfo *remote, *local;
    int fd;         /* a socket that no Ruby object owns yet, or -1 */
    VALUE socket;   /* the Ruby object of the socket being opened, or nil */
};

/* The first step that failed for an address, for the exception. */
struct inet_failure {
    int error;
    const char *syscall;
    bool local;
};

static const struct addrinfo *
inet_of_family(const struct addrinfo *list, int family)
{
    while (list && list->ai_family != family) list = list->ai_next;
    return list;
}

/*
 * SOCKS: the proxy library connects by itself where a build has it. From 3.4 on rsock_connect waits on the Ruby object.
 */
static int
inet_connect(struct inet_open *open, const struct addrinfo *remote)
{
    int socks = open->type != INET_CLIENT;

#if HAPPY_RUBY_VERSION >= 304
    open->socket = rsock_init_sock(open->self, open->fd);
    int status = rsock_connect(open->socket, remote->ai_addr, remote->ai_addrlen, socks, Qnil);
#else
    int status = rsock_connect(open->fd, remote->ai_addr, (int)remote->ai_addrlen, socks, NULL);
#endif
    return status;
}

/* Gives up the socket that was being opened. */
static void
inet_discard(struct inet_open *open)
{
    if (!NIL_P(open->socket)) {
        VALUE socket = open->socket;
        open->socket = Qnil;
        open->fd = -1;
        rb_io_close(socket);
    }
    else if (open->fd >= 0) {
        close(open->fd);
        open->fd = -1;
    }
}

static bool
inet_try(struct inet_open *open, const struct addrinfo *remote, const struct addrinfo *local,
         struct inet_failure *failure)
{
    const struct addrinfo *bound = open->type == INET_SERVER ? remote : local;

    *failure = (struct inet_failure){ 0, "socket(2)", false };
    open->fd = rsock_socket(remote->ai_family, remote->ai_socktype, remote->ai_protocol);
    if (open->fd < 0) {
        failure->error = errno;
        return false;
    }
    if (bound) {
        const int on = 1;
        setsockopt(open->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(open->fd, bound->ai_addr, bound->ai_addrlen) < 0) {
            *failure = (struct inet_failure){ errno, "bind(2)", bound == local };
            inet_discard(open);
            return false;
        }
    }
    if (open->type != INET_SERVER && inet_connect(open, remote) < 0) {
        *failure = (struct inet_failure){ errno, "connect(2)", false };
        inet_discard(open);
        return false;
    }
    return true;
}

static VALUE
inet_open_body(VALUE argument)
{
    struct inet_open *open = (struct inet_open *)argument;
    bool server = open->type == INET_SERVER;
    struct inet_failure failure = { EADDRNOTAVAIL, "socket(2)", false };
    bool opened = false;

    open->remote = RSOCK_ADDRINFO(open->remote_host, open->remote_service, server ? AI_PASSIVE : 0);
    if (!server && !(NIL_P(open->local_host) && NIL_P(open->local_service))) {
        open->local = RSOCK_ADDRINFO(open->local_host, open->local_service, 0);
    }

    for (const struct addrinfo *remote = open->remote->ai; remote && !opened; remote = remote->ai_next) {
        const struct addrinfo *local = NULL;
        if (open->local) {
            local = inet_of_family(open->local->ai, remote->ai_family);
            /*
             * Without a local address of this family there may be a remote one of another; the last one fails in bind.
             */
            if (!local && (remote->ai_next || failure.local)) continue;
            if (!local) local = open->local->ai;
        }
        opened = inet_try(open, remote, local, &failure);
    }
    if (!opened) {
        rsock_syserr_fail_host_port(failure.error, failure.syscall,
                                    failure.local ? open->local_host : open->remote_host,
                                    failure.local ? open->local_service : open->remote_service);
    }

    if (server && listen(open->fd, SOMAXCONN) < 0) rb_sys_fail("listen(2)");
    VALUE socket = NIL_P(open->socket) ? rsock_init_sock(open->self, open->fd) : open->socket;
    open->fd = -1;
    open->socket = Qnil;
    return socket;
}

static VALUE
inet_open_cleanup(VALUE argument)
{
    struct inet_open *open = (struct inet_open *)argument;

    if (open->remote) rb_freeaddrinfo(open->remote);
    if (open->local) rb_freeaddrinfo(open->local);
    inet_discard(open);
    return Qnil;
}

/* ---- what the rest of ext/socket calls ---- */

VALUE
rsock_init_inetsock(HAPPY_RUBY_INETSOCK)
{
    if (type == INET_CLIENT) return happy_ruby_init_inetsock(rsock_init_sock, HAPPY_RUBY_INETSOCK_NAMES);

    struct inet_open open = {
        .self = self,
        .remote_host = remote_host, .remote_service = remote_serv,
        .local_host = local_host, .local_service = local_serv,
        .type = type, .fd = -1, .socket = Qnil,
    };
    return rb_ensure(inet_open_body, (VALUE)&open, inet_open_cleanup, (VALUE)&open);
}

#if HAPPY_RUBY_VERSION >= 400
/* A limit that Ruby's own waiting reached: `ai` is the address that was waited for, NULL for a lookup. */
void
rsock_raise_user_specified_timeout(struct addrinfo *ai, VALUE host, VALUE port)
{
    VALUE message;

    if (ai && ai->ai_addr) {
        VALUE address = rsock_addrinfo_new(ai->ai_addr, ai->ai_addrlen, PF_UNSPEC, 0, 0, Qnil, Qnil);
        message = rb_sprintf("user specified timeout for %"PRIsVALUE, rsock_addrinfo_inspect_sockaddr(address));
    }
    else {
        message = rb_sprintf("user specified timeout for %"PRIsVALUE" port %"PRIsVALUE, host, port);
    }
    rb_exc_raise(rb_exc_new_str(rb_eIOTimeoutError, message));
}
#endif

/*
 * Reads the reverse_lookup argument of addr and peeraddr: 1 and the answer in `*norevlookup`, or 0 when it was nil and
 * the socket decides.
 */
int
rsock_revlookup_flag(VALUE revlookup, int *norevlookup)
{
    if (NIL_P(revlookup)) return 0;

    if (revlookup == Qtrue || revlookup == ID2SYM(rb_intern("hostname"))) {
        *norevlookup = 0;
    }
    else if (revlookup == Qfalse || revlookup == ID2SYM(rb_intern("numeric"))) {
        *norevlookup = 1;
    }
    else {
        Check_Type(revlookup, T_SYMBOL);
        rb_raise(rb_eArgError, "invalid reverse_lookup flag: :%"PRIsVALUE, rb_sym2str(revlookup));
    }
    return 1;
}

/* ---- IPSocket ---- */

/* What an IO is made of is no longer public from 3.3 on, which has functions for it. */
static int
ipsocket_mode(VALUE self)
{
#if HAPPY_RUBY_VERSION >= 303
    return rb_io_mode(self);
#else
    rb_io_t *fptr;

    GetOpenFile(self, fptr);
    return fptr->mode;
#endif
}

/* Whether it has a descriptor: one that was only allocated, or was closed, has none. */
static bool
ipsocket_open_p(VALUE self)
{
    if (!RFILE(self)->fptr) return false;
#if HAPPY_RUBY_VERSION >= 303
    return !RTEST(rb_io_closed_p(self));
#else
    return RFILE(self)->fptr->fd >= 0;
#endif
}

static int
ipsocket_norevlookup(int argc, const VALUE *argv, VALUE self)
{
    int norevlookup;

    if (argc > 0 && rsock_revlookup_flag(argv[0], &norevlookup)) return norevlookup;
    return ipsocket_mode(self) & FMODE_NOREVLOOKUP;
}

/* Both ends of a socket are asked for in the same way: `get_name` is getsockname(2) or getpeername(2). */
static VALUE
ipsocket_name(int argc, const VALUE *argv, VALUE self, int (*get_name)(int, struct sockaddr *, socklen_t *),
              const char *syscall)
{
    union_sockaddr address;
    socklen_t length = (socklen_t)sizeof(address);
    int fd = rb_io_descriptor(self);

    int norevlookup = ipsocket_norevlookup(argc, argv, self);
    if (get_name(fd, &address.addr, &length) < 0) rb_sys_fail(syscall);
    return rsock_ipaddr(&address.addr, length, norevlookup);
}

static int
ipsocket_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    return getsockname(fd, address, length);
}

static int
ipsocket_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    return getpeername(fd, address, length);
}

/*
 * call-seq:
 *   addr(reverse_lookup = nil) -> [family, port, hostname, numeric_address]
 *
 * The local end of the socket.
 *
 * The host name is looked up for +true+ and +:hostname+; for +false+ and +:numeric+ it is the numeric address once
 * more. Without the argument, #do_not_reverse_lookup decides.
 *
 *   TCPSocket.open("localhost", 7) { |socket| socket.addr }
 *   # => ["AF_INET6", 50012, "::1", "::1"]
 */
static VALUE
ipsocket_addr(int argc, VALUE *argv, VALUE self)
{
    return ipsocket_name(argc, argv, self, ipsocket_getsockname, "getsockname(2)");
}

/*
 * call-seq:
 *   peeraddr(reverse_lookup = nil) -> [family, port, hostname, numeric_address]
 *
 * The remote end of a connected socket. The argument and the answer are those of #addr.
 *
 *   TCPSocket.open("localhost", 7) { |socket| socket.peeraddr(false) }
 *   # => ["AF_INET6", 7, "::1", "::1"]
 */
static VALUE
ipsocket_peeraddr(int argc, VALUE *argv, VALUE self)
{
    return ipsocket_name(argc, argv, self, ipsocket_getpeername, "getpeername(2)");
}

/*
 * call-seq:
 *   recvfrom(maxlen, flags = 0) -> [message, sender]
 *
 * Receives a message of at most +maxlen+ bytes. +sender+ looks like the answer of #peeraddr; it is +nil+ where the
 * socket is connected and the system names no sender.
 *
 *   receiver = UDPSocket.new
 *   receiver.bind("127.0.0.1", 0)
 *   UDPSocket.new.send("ping", 0, "127.0.0.1", receiver.addr[1])
 *   receiver.recvfrom(100)
 *   # => ["ping", ["AF_INET", 38106, "127.0.0.1", "127.0.0.1"]]
 */
static VALUE
ipsocket_recvfrom(int argc, VALUE *argv, VALUE self)
{
    return rsock_s_recvfrom(self, argc, argv, RECV_IP);
}

/* A description with the local end of the socket. The end comes inside the brackets of the description of IO. */
static VALUE
ipsocket_inspect(VALUE self)
{
    VALUE description = rb_call_super(0, NULL);
    union_sockaddr address;
    socklen_t length = (socklen_t)sizeof(address);

    if (!ipsocket_open_p(self) || getsockname(rb_io_descriptor(self), &address.addr, &length) < 0) return description;
    ID family = rsock_intern_family(address.addr.sa_family);
    if (!family) return description;

    VALUE end = rb_sprintf(", %"PRIsVALUE, rb_id2str(family));
    char host[NI_MAXHOST], service[NI_MAXSERV];
    if (rb_getnameinfo(&address.addr, length, host, sizeof(host), service, sizeof(service),
                       NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        rb_str_catf(end, ", %s, %s", host, service);
    }

    long stem = RSTRING_LEN(description);
    if (stem > 1 && RSTRING_PTR(description)[stem - 1] == '>') {
        stem--;
        rb_str_cat_cstr(end, ">");
    }
    return rb_str_plus(rb_str_subseq(description, 0, stem), end);
}

/*
 * call-seq:
 *   IPSocket.getaddress(host) -> string
 *
 * The first address of +host+.
 *
 *   IPSocket.getaddress("localhost") # => "::1"
 */
static VALUE
ipsocket_s_getaddress(VALUE klass, VALUE host)
{
    union_sockaddr address;
    struct rb_addrinfo *found = RSOCK_ADDRINFO(host, Qnil, 0);
    socklen_t length = (socklen_t)found->ai->ai_addrlen;

    memcpy(&address, found->ai->ai_addr, length);
    rb_freeaddrinfo(found);
    return rsock_make_ipaddr(&address.addr, length);
}

void
rsock_init_ipsocket(void)
{
    /*
     * Document-class: IPSocket < BasicSocket
     *
     * What TCPSocket and UDPSocket have in common.
     *
     * An exception of a client that could not connect answers +attempts+: an array of IPSocket::Attempt, one for each
     * address that was tried, with its +address+, +outcome+, +error+, and when it +started_at+ and +ended_at+, in
     * seconds since the connect began.
     */
    rb_cIPSocket = rb_define_class("IPSocket", rb_cBasicSocket);
    rb_define_method(rb_cIPSocket, "inspect", ipsocket_inspect, 0);
    rb_define_method(rb_cIPSocket, "addr", ipsocket_addr, -1);
    rb_define_method(rb_cIPSocket, "peeraddr", ipsocket_peeraddr, -1);
    rb_define_method(rb_cIPSocket, "recvfrom", ipsocket_recvfrom, -1);
    rb_define_singleton_method(rb_cIPSocket, "getaddress", ipsocket_s_getaddress, 1);
    /* A peer on the network has no effective user. */
    rb_undef_method(rb_cIPSocket, "getpeereid");
    happy_ruby_define_errors(rb_cIPSocket);
}
