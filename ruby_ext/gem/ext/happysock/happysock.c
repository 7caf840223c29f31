/* The extension of the gem: what connects for TCPSocket, Socket and HappySock, and HappySock::Lookup. */

#include "happy_ruby.c"

#include <ruby/ractor.h>

#include <pthread.h>

#include "native_lookup.c"

static VALUE native_mHappySock, native_cTCPSocket, native_cBasicSocket, native_cSocket;
static VALUE native_io_initialize;
static ID id_bind_call, id_binmode, id_sync, id_do_not_reverse_lookup, id_set_do_not_reverse_lookup;
static ID id_settings, id_close;
/* Each Ractor has a tracer of its own: it is seldom something that another may use. */
static rb_ractor_local_key_t native_tracer;

/* Makes `socket`, which was allocated, a Ruby socket over `fd`: what the socket library does for its own. */
static VALUE
native_make_socket(VALUE socket, int fd)
{
#if HAPPY_RUBY_VERSION < 303
    /* As the socket library does it. IO#initialize asks the system twice for what is known here. */
    rb_io_t *io;
    MakeOpenFile(socket, io);
    io->fd = fd;
    io->mode = FMODE_READWRITE | FMODE_DUPLEX;
    rb_io_ascii8bit_binmode(socket);
    rb_io_synchronized(io);
    rb_update_max_fd(fd);
#else
    /* From 3.3 on the members of an IO are Ruby's own. */
    rb_funcall(native_io_initialize, id_bind_call, 3, socket, INT2FIX(fd), INT2FIX(O_RDWR));
    rb_funcall(socket, id_binmode, 0);
    rb_funcall(socket, id_sync, 1, Qtrue);
#endif
    rb_funcall(socket, id_set_do_not_reverse_lookup, 1, rb_funcall(native_cBasicSocket, id_do_not_reverse_lookup, 0));
    return socket;
}

/* ---- options ---- */

/* The options of a connect. Those before NATIVE_SETTINGS are the members of HappySock::Settings, in its order. */
enum native_option {
    NATIVE_FAST_FALLBACK, NATIVE_RESOLV_TIMEOUT, NATIVE_CONNECT_TIMEOUT, NATIVE_OPEN_TIMEOUT, NATIVE_RESOLUTION_DELAY,
    NATIVE_CONNECTION_ATTEMPT_DELAY, NATIVE_ASK_SCHEDULER, NATIVE_HISTORY, NATIVE_NAT64, NATIVE_LOOKUP_BY_LIBC,
    NATIVE_GROWING_DELAY, NATIVE_SHARE_TIMEOUT, NATIVE_ONLY_CONNECTED_FAMILIES, NATIVE_SETTINGS,
    NATIVE_TRACE = NATIVE_SETTINGS, NATIVE_TEST_MODE_SETTINGS, NATIVE_OPTIONS
};

static const char *const native_option_names[NATIVE_OPTIONS] = {
    "fast_fallback", "resolv_timeout", "connect_timeout", "open_timeout", "resolution_delay",
    "connection_attempt_delay", "ask_scheduler", "history", "nat64", "lookup_by_libc",
    "growing_delay", "share_timeout", "only_connected_families", "trace", "test_mode_settings",
};
static ID native_option_ids[NATIVE_OPTIONS];

static bool
native_limit_p(int option)
{
    return option == NATIVE_RESOLV_TIMEOUT || option == NATIVE_CONNECT_TIMEOUT || option == NATIVE_OPEN_TIMEOUT;
}

/*
 * What the connects of this process have learnt, made when one is to learn first. The child of a fork makes its own. Where
 * another thread is at it, or was when this process was forked, a connect does without: NULL.
 */
static happy_history *
native_history(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static happy_history *history;
    static pid_t owner;

    if (pthread_mutex_trylock(&lock) != 0) return NULL;
    if (owner != getpid()) {
        happy_history_unref(history);
        history = NULL;
        if (happy_history_new(&history) == HAPPY_OK) owner = getpid();
    }
    pthread_mutex_unlock(&lock);
    return history;
}

/* nat64 as the library takes it, a String, from `:discover`, a String or an Array of prefixes; nil for nil and false. */
static VALUE
native_nat64_text(VALUE nat64)
{
    if (!RTEST(nat64)) return Qnil;
    if (SYMBOL_P(nat64)) return rb_sym2str(nat64);
    if (RB_TYPE_P(nat64, T_ARRAY)) return rb_ary_join(nat64, rb_str_new_cstr(","));
    if (RB_TYPE_P(nat64, T_STRING)) return nat64;
    rb_raise(rb_eTypeError, "nat64: %+"PRIsVALUE" is neither :discover nor a prefix nor an Array of them", nat64);
}

/*
 * Reads the keywords of a call. What it leaves open is as HappySock.configure has it; limits are left open together, since
 * a default must not meet one of the call's that excludes it. `*nat64` keeps what `request->nat64` points into.
 */
static void
native_options(VALUE keywords, struct happy_ruby_request *request, volatile VALUE *nat64)
{
    static const struct { enum native_option option; uint32_t flag; } flags[] = {
        { NATIVE_LOOKUP_BY_LIBC, HAPPY_FLAG_LOOKUP_BY_LIBC },
        { NATIVE_GROWING_DELAY, HAPPY_FLAG_GROWING_DELAY },
        { NATIVE_SHARE_TIMEOUT, HAPPY_FLAG_SHARE_TIMEOUT },
        { NATIVE_ONLY_CONNECTED_FAMILIES, HAPPY_FLAG_ONLY_CONNECTED_FAMILIES },
    };
    VALUE values[NATIVE_OPTIONS];
    bool limited = false;

    for (int i = 0; i < NATIVE_OPTIONS; i++) values[i] = Qundef;
    if (!NIL_P(keywords)) rb_get_kwargs(keywords, native_option_ids, 0, NATIVE_OPTIONS, values);
    for (int i = 0; i < NATIVE_OPTIONS; i++) {
        if (values[i] == Qundef) values[i] = Qnil;
        limited |= native_limit_p(i) && !NIL_P(values[i]);
    }

    VALUE settings = rb_ivar_get(native_mHappySock, id_settings);
    for (int i = 0; i < NATIVE_SETTINGS; i++) {
        if (NIL_P(values[i]) && !(native_limit_p(i) && limited)) values[i] = RSTRUCT_GET(settings, i);
    }
#if HAPPY_RUBY_VERSION >= 304
    if (NIL_P(values[NATIVE_FAST_FALLBACK])) {
        values[NATIVE_FAST_FALLBACK] = rb_funcall(native_cSocket, rb_intern("tcp_fast_fallback"), 0);
    }
#endif
    if (NIL_P(values[NATIVE_TRACE])) values[NATIVE_TRACE] = rb_ractor_local_storage_value(native_tracer);

    request->fast_fallback = NIL_P(values[NATIVE_FAST_FALLBACK]) || RTEST(values[NATIVE_FAST_FALLBACK]);
    request->resolv_timeout = values[NATIVE_RESOLV_TIMEOUT];
    request->connect_timeout = values[NATIVE_CONNECT_TIMEOUT];
    request->open_timeout = values[NATIVE_OPEN_TIMEOUT];
    request->resolution_delay = values[NATIVE_RESOLUTION_DELAY];
    request->connection_attempt_delay = values[NATIVE_CONNECTION_ATTEMPT_DELAY];
    request->ask_scheduler = RTEST(values[NATIVE_ASK_SCHEDULER]);
    request->history = RTEST(values[NATIVE_HISTORY]) ? native_history() : NULL;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (RTEST(values[flags[i].option])) request->flags |= flags[i].flag;
    }
    *nat64 = native_nat64_text(values[NATIVE_NAT64]);
    if (!NIL_P(*nat64)) request->nat64 = StringValueCStr(*nat64);
    request->trace = values[NATIVE_TRACE];
    request->test_mode_settings = values[NATIVE_TEST_MODE_SETTINGS];
}

/* ---- connects ---- */

static struct happy_ruby_request
native_request(VALUE socket)
{
    return (struct happy_ruby_request){
        .remote_host = Qnil, .remote_service = Qnil, .local_host = Qnil, .local_service = Qnil,
        .addresses = Qnil, .make_socket = native_make_socket, .self = socket,
    };
}

/* What TCPSocket.new, Socket.tcp and HappySock.tcp have in common: (host, port, local_host = nil, local_port = nil, **). */
static VALUE
native_connect(int argc, const VALUE *argv, VALUE socket, bool socket_tcp)
{
    struct happy_ruby_request request = native_request(socket);
    VALUE keywords;
    volatile VALUE nat64 = Qnil;

    rb_scan_args(argc, argv, "22:", &request.remote_host, &request.remote_service, &request.local_host,
                 &request.local_service, &keywords);
    native_options(keywords, &request, &nat64);
    request.socket_tcp = socket_tcp;
    socket = happy_ruby_connect(&request);
    RB_GC_GUARD(nat64);
    return socket;
}

static VALUE
native_close(VALUE socket)
{
    return rb_funcall(socket, id_close, 0);
}

static VALUE
native_yield_and_close(VALUE socket)
{
    if (!rb_block_given_p()) return socket;
    return rb_ensure(rb_yield, socket, native_close, socket);
}

/* TCPSocket#initialize of happysock/tcp_socket. */
static VALUE
native_initialize(int argc, VALUE *argv, VALUE self)
{
    return native_connect(argc, argv, self, false);
}

/* Socket.tcp of happysock/tcp_socket. */
static VALUE
native_socket_tcp(int argc, VALUE *argv, VALUE self)
{
    return native_yield_and_close(native_connect(argc, argv, rb_obj_alloc(self), true));
}

/*
 * call-seq:
 *   tcp(host, port, local_host = nil, local_port = nil, **options) -> tcp_socket
 *   tcp(host, port, local_host = nil, local_port = nil, **options) {|tcp_socket| ... } -> object
 *
 * Connects to +host+ and +port+ and returns a TCPSocket, or yields it and closes it after the block.
 *
 * Both address families are looked up at once, and connection attempts are started one after the other without
 * waiting for the ones before to fail; the first to succeed wins.
 *
 * host, port:: as TCPSocket.new takes them
 * local_host, local_port:: the local address to bind to
 * resolv_timeout:: limit for the lookups, in seconds from the start
 * connect_timeout:: limit for connecting, in seconds from the start of the last address' attempt
 * open_timeout:: limit over everything; not together with the other two
 * fast_fallback:: +false+ tries one address after the other, in the system's order
 * resolution_delay:: how long an IPv4 answer waits for the IPv6 answer, in seconds (RFC 8305, section 3)
 * connection_attempt_delay:: the time between two attempts, in seconds, held within 0.01 to 2 (RFC 8305, section 5)
 * ask_scheduler:: +true+ has the fiber scheduler find the addresses, where it has +address_resolve+
 * history:: +true+ learns from the connects of this process: which family answers, which address answers sooner
 * nat64:: +:discover+, or the prefixes of the translator to IPv4, as a String or an Array of Strings (RFC 8305, section 7)
 * lookup_by_libc:: +true+ has libc look the host up, on a thread
 * growing_delay:: +true+ doubles the time between attempts from one to the next, up to 2 seconds
 * share_timeout:: +true+, with +fast_fallback+ +false+ and an +open_timeout+, gives each address a share of what is left of
 *                 it, 2 seconds at least
 * only_connected_families:: +true+ does not ask for addresses of a family that this machine has no network in
 * trace:: called with each step of the race, see ::trace
 *
 * What is not given is as ::configure has it.
 *
 * Raises what TCPSocket.new of the running Ruby raises: SystemCallError, Socket::ResolutionError (SocketError before
 * 3.3), IO::TimeoutError (Errno::ETIMEDOUT before 4.0), ArgumentError. The exception answers +attempts+: an array of
 * HappySock::Attempt.
 */
static VALUE
native_tcp(int argc, VALUE *argv, VALUE self)
{
    return native_yield_and_close(native_connect(argc, argv, rb_obj_alloc(native_cTCPSocket), false));
}

/*
 * call-seq:
 *   connect_to(addresses, **options) -> tcp_socket
 *   connect_to(addresses, **options) {|tcp_socket| ... } -> object
 *
 * Connects to one of +addresses+, an array of Addrinfo with their ports, as ::tcp does to those that a lookup finds:
 * they are sorted, and raced. For those who know the addresses already.
 *
 *   HappySock.connect_to([Addrinfo.tcp("2001:db8::7", 80), Addrinfo.tcp("192.0.2.7", 80)], open_timeout: 5)
 */
static VALUE
native_connect_to(int argc, VALUE *argv, VALUE self)
{
    struct happy_ruby_request request = native_request(rb_obj_alloc(native_cTCPSocket));
    VALUE keywords;
    volatile VALUE nat64 = Qnil;

    rb_scan_args(argc, argv, "1:", &request.addresses, &keywords);
    request.addresses = rb_Array(request.addresses);
    if (RARRAY_LEN(request.addresses) == 0) rb_raise(rb_eArgError, "there are no addresses to connect to");
    native_options(keywords, &request, &nat64);
    /* What exceptions name where there is no host. */
    request.remote_host = rb_str_new_cstr("known addresses");
    VALUE socket = happy_ruby_connect(&request);
    RB_GC_GUARD(nat64);
    return native_yield_and_close(socket);
}

/*
 * What is to be the setting nat64: a frozen String of its own, or nil. Raises an ArgumentError where the library would refuse
 * it in each connect.
 */
static VALUE
native_check_nat64(VALUE self, VALUE nat64)
{
    const struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct addrinfo known = {
        .ai_family = AF_INET, .ai_socktype = SOCK_STREAM,
        .ai_addr = (struct sockaddr *)&loopback, .ai_addrlen = sizeof(loopback),
    };
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_connect *connect;
    VALUE text = native_nat64_text(nat64);

    if (NIL_P(text)) return Qnil;
    text = rb_str_new_frozen(text);
    options.nat64 = StringValueCStr(text);
    options.addresses = &known;
    /* It is only made, and not begun. */
    if (happy_connect_new(NULL, NULL, &options, &connect, NULL) != HAPPY_OK) {
        rb_raise(rb_eArgError, "%s", happy_error_message());
    }
    happy_connect_free(connect);
    return text;
}

/* The tracer of this Ractor, see HappySock.trace. */
static VALUE
native_get_tracer(VALUE self)
{
    return rb_ractor_local_storage_value(native_tracer);
}

static VALUE
native_set_tracer(VALUE self, VALUE tracer)
{
    rb_ractor_local_storage_value_set(native_tracer, tracer);
    return tracer;
}

RUBY_FUNC_EXPORTED void
Init_happysock(void)
{
    rb_ext_ractor_safe(true);
    id_bind_call = rb_intern("bind_call");
    id_binmode = rb_intern("binmode");
    id_sync = rb_intern("sync=");
    id_do_not_reverse_lookup = rb_intern("do_not_reverse_lookup");
    id_set_do_not_reverse_lookup = rb_intern("do_not_reverse_lookup=");
    id_settings = rb_intern("@settings");
    id_close = rb_intern("close");
    for (int i = 0; i < NATIVE_OPTIONS; i++) native_option_ids[i] = rb_intern(native_option_names[i]);
    native_tracer = rb_ractor_local_storage_value_newkey();

    native_cTCPSocket = rb_path2class("TCPSocket");
    native_cBasicSocket = rb_path2class("BasicSocket");
    native_cSocket = rb_path2class("Socket");
    rb_gc_register_address(&native_cTCPSocket);
    rb_gc_register_address(&native_cBasicSocket);
    rb_gc_register_address(&native_cSocket);
    rb_gc_register_address(&native_io_initialize);
    native_io_initialize = rb_funcall(rb_cIO, rb_intern("instance_method"), 1, ID2SYM(rb_intern("initialize")));

    native_mHappySock = rb_define_module("HappySock");
    rb_define_singleton_method(native_mHappySock, "tcp", native_tcp, -1);
    rb_define_singleton_method(native_mHappySock, "connect_to", native_connect_to, -1);

    /* :nodoc: */
    VALUE native = rb_define_module_under(native_mHappySock, "Native");
    rb_define_singleton_method(native, "tracer", native_get_tracer, 0);
    rb_define_singleton_method(native, "tracer=", native_set_tracer, 1);
    rb_define_singleton_method(native, "check_nat64", native_check_nat64, 1);
    /* Prepended by happysock/tcp_socket. */
    rb_define_method(rb_define_module_under(native, "TCPSocketInitialize"), "initialize", native_initialize, -1);
    rb_define_method(rb_define_module_under(native, "SocketTCP"), "tcp", native_socket_tcp, -1);

    native_define_lookup(native_mHappySock);
    happy_ruby_define_errors(native_mHappySock);
}
