/* One client connect for Ruby. Includes the rest of the glue: one object, all names static. */

#include "happy_ruby.h"
#include "arguments.c"
#include "lookup.c"
#include "errors.c"
#include "trace.c"

static void
happy_ruby_release(struct happy_ruby_owned *owned)
{
    happy_connect_free(owned->connect);
    happy_ruby_shared_unref(owned->shared);
    if (owned->addresses) freeaddrinfo(owned->addresses);
    if (owned->fd >= 0) close(owned->fd);
    *owned = (struct happy_ruby_owned){ .fd = -1 };
}

static void
happy_ruby_owned_free(void *owned)
{
    happy_ruby_release(owned);
    xfree(owned);
}

static const rb_data_type_t happy_ruby_owned_type = {
    .wrap_struct_name = "happy_connect",
    .function = { .dfree = happy_ruby_owned_free },
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

/*
 * Asks the fiber scheduler for the addresses, on the Ruby thread and before the race: the race's own lookups run where
 * no Ruby code can. They are kept in `owned->addresses`; false when the scheduler resolves no names.
 */
static bool
happy_ruby_ask_scheduler(VALUE scheduler, const struct happy_ruby_connect *self, const char *service, int lookup_flags)
{
    VALUE answer = rb_fiber_scheduler_address_resolve(scheduler, self->request->remote_host);
    if (answer == Qundef) return false;

    VALUE entries = NIL_P(answer) ? rb_ary_new() : rb_convert_type(answer, T_ARRAY, "Array", "to_ary");
    struct addrinfo **tail = &self->owned->addresses;
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | lookup_flags,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    for (long i = 0; i < RARRAY_LEN(entries); i++) {
        VALUE entry = rb_ary_entry(entries, i);
        /* What is not an address is left out, as CRuby leaves it out. */
        if (getaddrinfo(StringValueCStr(entry), service, &hints, tail) != 0) *tail = NULL;
        while (*tail) tail = &(*tail)->ai_next;
    }
    RB_GC_GUARD(entries);
    return true;
}

/* Puts an Array of Addrinfo into `owned->addresses`. */
static void
happy_ruby_known_addresses(VALUE addresses, struct happy_ruby_owned *owned)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo **tail = &owned->addresses;

    for (long i = 0; i < RARRAY_LEN(addresses); i++) {
        VALUE sockaddr = rb_funcall(rb_ary_entry(addresses, i), rb_intern("to_sockaddr"), 0);
        char host[NI_MAXHOST], service[NI_MAXSERV];
        StringValue(sockaddr);
        int error = getnameinfo((const struct sockaddr *)RSTRING_PTR(sockaddr), (socklen_t)RSTRING_LEN(sockaddr), host,
                                sizeof(host), service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV);
        if (!error) error = getaddrinfo(host, service, &hints, tail);
        if (error) {
            *tail = NULL;
            rb_raise(rb_eArgError, "not an address to connect to: %+"PRIsVALUE, rb_ary_entry(addresses, i));
        }
        while (*tail) tail = &(*tail)->ai_next;
    }
}

static int64_t
happy_ruby_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is left of a limit, 0 at least; no limit stays none. */
static int32_t
happy_ruby_rest_ms(int32_t limit_ms, int64_t elapsed_ms)
{
    if (limit_ms < 0) return limit_ms;
    return elapsed_ms >= limit_ms ? 0 : (int32_t)(limit_ms - elapsed_ms);
}

/* Reads the arguments and makes the connect. On a refusal `self->result` says why. */
static bool
happy_ruby_begin(struct happy_ruby_connect *self)
{
    VALUE scheduler = self->scheduler;
    const struct happy_ruby_request *request = self->request;
    happy_options options = HAPPY_OPTIONS_INIT;
    int lookup_flags = 0, local_flags = 0;
    bool known = !NIL_P(request->addresses);
    const char *host = known ? NULL : happy_ruby_host(request->remote_host, self->host, sizeof(self->host));
    const char *service = happy_ruby_service(request->remote_service, self->service, sizeof(self->service),
                                             &lookup_flags);

    options.local_host = happy_ruby_host(request->local_host, self->local_host, sizeof(self->local_host));
    options.local_service = happy_ruby_service(request->local_service, self->local_service, sizeof(self->local_service),
                                               &local_flags);
    options.resolv_timeout_ms = happy_ruby_milliseconds(happy_ruby_resolv_timeout(request));
    options.connect_timeout_ms = happy_ruby_milliseconds(request->connect_timeout);
    options.open_timeout_ms = happy_ruby_milliseconds(request->open_timeout);
    if (!NIL_P(request->resolution_delay)) {
        options.resolution_delay_ms = happy_ruby_milliseconds(request->resolution_delay);
    }
    if (!NIL_P(request->connection_attempt_delay)) {
        options.connection_attempt_delay_ms = happy_ruby_milliseconds(request->connection_attempt_delay);
    }
    options.lookup_flags = lookup_flags;
    options.history = request->history;
    /* Ruby's sockets have been non-blocking since 3.0. */
    options.flags = request->flags | HAPPY_FLAG_NONBLOCKING | (request->fast_fallback ? 0 : HAPPY_FLAG_NO_FAST_FALLBACK);
    self->literal = happy_ruby_literal_family(host) != AF_UNSPEC;
    self->local_family = happy_ruby_literal_family(options.local_host);
    /* Asked for in the other family it would be an address of a wrong family, and not a name that does not exist. */
    if (happy_ruby_scoped_literal_p(host)) options.family = AF_INET6;
    /* Where CRuby races, it looks up the family of the local address alone. */
    if (happy_ruby_races_p(self)) options.family = self->local_family;
    /* With one family there is nothing to translate. */
    if (options.family == AF_UNSPEC) options.nat64 = request->nat64;

    if (known) {
        happy_ruby_known_addresses(request->addresses, self->owned);
        options.addresses = self->owned->addresses;
    }
    bool test_mode = !known && RB_TYPE_P(request->test_mode_settings, T_HASH);
    bool ask_scheduler = request->ask_scheduler && !NIL_P(scheduler) && host && !self->literal;
    bool tracing = !NIL_P(request->trace);
    /* What an exception says of a limit depends on how the race stood. */
    bool counting = HAPPY_RUBY_VERSION >= 304 && (options.connect_timeout_ms >= 0 || options.open_timeout_ms >= 0);
    struct happy_ruby_shared *shared = NULL;
    if (test_mode || tracing || counting) shared = self->owned->shared = happy_ruby_shared_new();
    if (test_mode) {
        happy_ruby_read_test_mode(shared, request->test_mode_settings);
        options.lookup = happy_ruby_test_lookup;
    }
    if (ask_scheduler) {
        int64_t asked_at = happy_ruby_now_ms();
        bool asked = happy_ruby_ask_scheduler(scheduler, self, service, lookup_flags);
        if (asked && !self->owned->addresses) {
            self->result.status = HAPPY_ERESOLVE;
            self->result.gai_error = EAI_NONAME;
            return false;
        }
        options.addresses = self->owned->addresses;
        if (asked) options.lookup = NULL;
        int64_t elapsed = happy_ruby_now_ms() - asked_at;
        options.resolv_timeout_ms = happy_ruby_rest_ms(options.resolv_timeout_ms, elapsed);
        options.open_timeout_ms = happy_ruby_rest_ms(options.open_timeout_ms, elapsed);
    }
    if (tracing || counting) options.trace = happy_ruby_record;
    if (shared) {
        shared->tracing = tracing;
        shared->local_family = self->local_family;
        atomic_fetch_add(&shared->references, 1);
        options.userdata = shared;
        options.userdata_free = happy_ruby_shared_unref;
    }

    if (happy_connect_new(host, service, &options, &self->owned->connect, &self->result) == HAPPY_OK) return true;
    /* A refused connect never owned the userdata. */
    if (shared) happy_ruby_shared_unref(shared);
    return false;
}

/*
 * Before 3.3 Ruby has no thread of its own that hands signals on. A main thread that waits without the GVL learns of
 * one only when it was the only thread as the wait began; else it may sleep through it. Then it waits as Ruby waits for
 * IO, which does learn of it, and costs a connect that is over in no time a dozen system calls.
 */
static bool
happy_ruby_waits_on_descriptor_p(void)
{
    return HAPPY_RUBY_VERSION < 303 && rb_thread_current() == rb_thread_main() && !rb_thread_alone();
}

static void
happy_ruby_wait_on_descriptor(happy_connect *connect)
{
    int fd = happy_connect_get_fd(connect);
    if (fd < 0) rb_sys_fail("happy_connect_get_fd");
    rb_wait_for_single_fd(fd, RB_WAITFD_IN, NULL);
}

/* One step of the race; true when it is over. What it has to tell is told at once. */
static bool
happy_ruby_step(struct happy_ruby_connect *self)
{
    bool over = happy_connect_dispatch(self->owned->connect) != HAPPY_EAGAIN;

    if (!NIL_P(self->request->trace)) happy_ruby_deliver_trace(self);
    return over;
}

/*
 * Waits without the GVL. An interrupt (Thread#raise, Thread#kill, a signal) ends the wait; what it asks for happens in
 * rb_thread_check_ints, and if that returns, the same race goes on. It comes before the wait, so that what was put off
 * until the thread blocks is not put off longer.
 *
 * happy_connect_interrupt may run in a signal handler, and saying so spares the thread that Ruby would otherwise start
 * for each wait of a single-threaded program.
 *
 * Without the GVL the race goes on to its end, and nothing of Ruby can be called: a tracer has it wait for one step.
 */
static void
happy_ruby_wait(struct happy_ruby_connect *self)
{
    const int flags = RB_NOGVL_INTR_FAIL | RB_NOGVL_UBF_ASYNC_SAFE;
    happy_connect *connect = self->owned->connect;
    bool tracing = !NIL_P(self->request->trace);

    /*
     * Begins; where the address is of this machine and no name server is asked, it is connected by the time of a second look,
     * and the GVL need not change hands.
     */
    if (happy_ruby_step(self)) return;
    while (!happy_ruby_step(self)) {
        rb_thread_check_ints();
        if (tracing || happy_ruby_waits_on_descriptor_p()) happy_ruby_wait_on_descriptor(connect);
        else rb_nogvl(happy_connect_wait_callback, connect, happy_connect_interrupt_callback, connect, flags);
    }
}

/*
 * Waits through the fiber scheduler: other fibers of the thread go on. The connect keeps its own time, so io_wait is
 * given none. One that ends without the descriptor has swallowed a time-out of somebody else's, as async 1 does with
 * that of a task: then the connect is over as if the time-out were its own. Returns false for that.
 */
static bool
happy_ruby_wait_with_scheduler(struct happy_ruby_connect *self)
{
    happy_connect *connect = self->owned->connect;
    bool ready = true;
    VALUE io = Qnil;

    while (!happy_ruby_step(self)) {
        if (!ready) return false;
        if (NIL_P(io)) {
            int fd = happy_connect_get_fd(connect);
            if (fd < 0) rb_sys_fail("happy_connect_get_fd");
            VALUE options = rb_hash_new();
            rb_hash_aset(options, ID2SYM(rb_intern("autoclose")), Qfalse);
            VALUE arguments[2] = { INT2NUM(fd), options };
            io = rb_funcallv_kw(rb_cIO, rb_intern("for_fd"), 2, arguments, RB_PASS_KEYWORDS);
        }
        ready = RTEST(rb_fiber_scheduler_io_wait(self->scheduler, io, INT2FIX(RUBY_IO_READABLE), Qnil));
    }
    RB_GC_GUARD(io);
    return true;
}

/* Ends the race, for the sake of what its result says of the attempts. */
static void
happy_ruby_time_out(struct happy_ruby_connect *self)
{
    happy_connect_cancel(self->owned->connect);
    while (!happy_ruby_step(self)) continue;
    self->timed_out = true;
}

static VALUE
happy_ruby_body(VALUE argument)
{
    struct happy_ruby_connect *self = (struct happy_ruby_connect *)argument;
    const struct happy_ruby_request *request = self->request;
    struct happy_ruby_owned *owned = self->owned;

    if (happy_ruby_begin(self)) {
        if (NIL_P(self->scheduler)) happy_ruby_wait(self);
        else if (!happy_ruby_wait_with_scheduler(self)) happy_ruby_time_out(self);
        owned->fd = happy_connect_take_result(owned->connect, &self->result);
    }
    if (owned->fd < 0) happy_ruby_raise(self);

    VALUE socket = request->make_socket(request->self, owned->fd);
    owned->fd = -1;
    return socket;
}

static VALUE
happy_ruby_cleanup(VALUE argument)
{
    happy_ruby_release(((struct happy_ruby_connect *)argument)->owned);
    return Qnil;
}

/* Connects and answers what `make_socket` made, or raises. Nothing is left open in either case. */
static VALUE
happy_ruby_connect(const struct happy_ruby_request *request)
{
    if (!NIL_P(request->open_timeout) && !(NIL_P(request->resolv_timeout) && NIL_P(request->connect_timeout))) {
        rb_raise(rb_eArgError, "Cannot specify open_timeout along with connect_timeout or resolv_timeout");
    }

    /* Not filled with zeros: most of it is room that few connects need. */
    struct happy_ruby_connect self;
    struct happy_ruby_owned on_stack = { .fd = -1 };
    VALUE owner = Qnil;

    self.request = request;
    self.scheduler = rb_fiber_scheduler_current();
    self.owned = &on_stack;
    self.host[0] = self.service[0] = '\0';
    self.literal = false;
    self.local_family = AF_UNSPEC;
    self.timed_out = false;
    self.result = (happy_result)HAPPY_RESULT_INIT;
    self.result.attempts = self.attempts;
    self.result.attempts_capacity = HAPPY_RUBY_ATTEMPTS;
    /* A fiber can be left for good only where Ruby code runs in the middle of the connect. */
    if (!NIL_P(self.scheduler) || !NIL_P(request->trace)) {
        owner = TypedData_Make_Struct(rb_cObject, struct happy_ruby_owned, &happy_ruby_owned_type, self.owned);
        self.owned->fd = -1;
    }
    VALUE socket = rb_ensure(happy_ruby_body, (VALUE)&self, happy_ruby_cleanup, (VALUE)&self);
    RB_GC_GUARD(owner);
    return socket;
}

/* The client's half of rsock_init_inetsock: its arguments, and how ext/socket makes a socket of a descriptor. */
static inline VALUE
happy_ruby_init_inetsock(VALUE (*make_socket)(VALUE self, int fd), HAPPY_RUBY_INETSOCK)
{
    struct happy_ruby_request request = {
        .remote_host = remote_host, .remote_service = remote_serv,
        .local_host = local_host, .local_service = local_serv,
        .resolv_timeout = resolv_timeout, .connect_timeout = connect_timeout, .open_timeout = Qnil,
        .resolution_delay = Qnil, .connection_attempt_delay = Qnil,
        .addresses = Qnil, .test_mode_settings = Qnil, .trace = Qnil, .fast_fallback = true,
        .make_socket = make_socket, .self = self,
    };

#if HAPPY_RUBY_VERSION >= 400
    request.open_timeout = open_timeout;
#endif
#if HAPPY_RUBY_VERSION >= 304
    request.fast_fallback = RTEST(fast_fallback);
    request.test_mode_settings = test_mode_settings;
#endif
    return happy_ruby_connect(&request);
}
