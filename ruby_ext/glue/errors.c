/*
 * From the library's result to the exception that the running Ruby gives in the same case: class, message, error_code.
 * What a version says where is laid down by that version's ext/socket; programs match on it.
 */

static VALUE happy_ruby_cAttempt;   /* what exception.attempts lists */
static VALUE happy_ruby_mAttempts;  /* gives an exception its `attempts` */

static VALUE
happy_ruby_attempts(VALUE exception)
{
    return rb_attr_get(exception, rb_intern("@attempts"));
}

/* Defines Attempt and Attempts under `outer`, the module that the host of the glue chose. */
static void
happy_ruby_define_errors(VALUE outer)
{
    rb_gc_register_address(&happy_ruby_cAttempt);
    rb_gc_register_address(&happy_ruby_mAttempts);
    happy_ruby_cAttempt = rb_struct_define_under(outer, "Attempt", "address", "outcome", "error", "syscall",
                                                 "started_at", "ended_at", NULL);
    happy_ruby_mAttempts = rb_define_module_under(outer, "Attempts");
    rb_define_method(happy_ruby_mAttempts, "attempts", happy_ruby_attempts, 0);
}

static VALUE
happy_ruby_addrinfo(const struct sockaddr_storage *address, socklen_t length)
{
    VALUE arguments[4] = {
        rb_str_new((const char *)address, length),
        INT2FIX(address->ss_family),
        INT2FIX(SOCK_STREAM),
        INT2FIX(IPPROTO_TCP),
    };

    return rb_class_new_instance(4, arguments, rb_path2class("Addrinfo"));
}

static VALUE
happy_ruby_outcome(int outcome)
{
    static const char *const names[] = { "running", "connected", "failed", "timed_out", "abandoned" };

    if (outcome < 0 || outcome >= (int)(sizeof(names) / sizeof(names[0]))) return Qnil;
    return ID2SYM(rb_intern(names[outcome]));
}

static VALUE
happy_ruby_seconds(uint64_t nanoseconds)
{
    return DBL2NUM((double)nanoseconds / 1e9);
}

static VALUE
happy_ruby_attempt_list(const happy_result *result)
{
    size_t count = result->attempts_count;
    if (count > result->attempts_capacity) count = result->attempts_capacity;

    VALUE list = rb_ary_new_capa((long)count);
    for (size_t i = 0; i < count; i++) {
        const happy_attempt *attempt = &result->attempts[i];
        rb_ary_push(list, rb_struct_new(happy_ruby_cAttempt,
                                        happy_ruby_addrinfo(&attempt->address, attempt->address_length),
                                        happy_ruby_outcome(attempt->outcome),
                                        attempt->sys_errno ? rb_syserr_new(attempt->sys_errno, attempt->syscall) : Qnil,
                                        attempt->syscall ? rb_str_new_cstr(attempt->syscall) : Qnil,
                                        happy_ruby_seconds(attempt->started_ns),
                                        happy_ruby_seconds(attempt->ended_ns)));
    }
    return rb_ary_freeze(list);
}

/*
 * `cause` is the word in front of the text: "getaddrinfo(3)" for a race of 3.4 and newer, "getaddrinfo" everywhere
 * else.
 */
static VALUE
happy_ruby_resolution_error(int gai_error, int sys_errno, const char *cause)
{
    if (gai_error == EAI_SYSTEM && sys_errno) return rb_syserr_new(sys_errno, cause);

    VALUE message = rb_sprintf("%s: %s", cause, gai_strerror(gai_error));
    if (HAPPY_RUBY_VERSION < 303) return rb_exc_new_str(rb_path2class("SocketError"), message);

    VALUE exception = rb_class_new_instance(1, &message, rb_path2class("Socket::ResolutionError"));
    rb_ivar_set(exception, rb_intern("error_code"), INT2NUM(gai_error));
    return exception;
}

/* From 3.2 on an ETIMEDOUT with a host is an IO::TimeoutError. */
static VALUE
happy_ruby_host_port_error(int sys_errno, const char *what, VALUE host, VALUE service)
{
    VALUE message = rb_sprintf("%s for %+"PRIsVALUE" port % "PRIsVALUE, what, host, service);

    if (sys_errno == ETIMEDOUT && HAPPY_RUBY_VERSION >= 302) {
        return rb_exc_new_str(rb_path2class("IO::TimeoutError"), message);
    }
    return rb_syserr_new_str(sys_errno, message);
}

/* A limit on a lookup or on the whole was reached. */
static VALUE
happy_ruby_limit_error(VALUE host, VALUE service)
{
    if (HAPPY_RUBY_VERSION >= 400) {
        VALUE message = rb_sprintf("user specified timeout for %"PRIsVALUE" port %"PRIsVALUE, host, service);
        return rb_exc_new_str(rb_path2class("IO::TimeoutError"), message);
    }
    if (HAPPY_RUBY_VERSION >= 304) return rb_syserr_new(ETIMEDOUT, "user specified timeout");
    return happy_ruby_host_port_error(ETIMEDOUT, "user specified timeout", host, service);
}

/*
 * The address that was all there was to wait for when a limit was reached, as an Addrinfo; nil where there was a race,
 * and where a lookup was waited for.
 */
static VALUE
happy_ruby_waited_for(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;
    const happy_result *result = &self->result;
    const struct happy_ruby_shared *shared = self->owned->shared;
    bool alone = self->literal || !request->fast_fallback || (shared && shared->alone);

    if (!alone || result->limit == HAPPY_LIMIT_RESOLV) return Qnil;
    if (result->address_length) return happy_ruby_addrinfo(&result->address, result->address_length);
    if (!self->literal) return Qnil;
    /* A limit of 0 is over before a literal is attempted. */
    return rb_funcall(rb_path2class("Addrinfo"), rb_intern("tcp"), 2, request->remote_host, request->remote_service);
}

static VALUE
happy_ruby_socket_tcp_timeout(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;
    VALUE message;

    if (HAPPY_RUBY_VERSION < 400) return rb_syserr_new(ETIMEDOUT, "user specified timeout");
    VALUE address = happy_ruby_waited_for(self);
    if (!NIL_P(address)) {
        message = rb_sprintf("user specified timeout for %"PRIsVALUE":%"PRIsVALUE,
                             rb_funcall(address, rb_intern("ip_address"), 0),
                             rb_funcall(address, rb_intern("ip_port"), 0));
        return rb_syserr_new_str(ETIMEDOUT, message);
    }
    if (!request->fast_fallback) return happy_ruby_limit_error(request->remote_host, request->remote_service);
    message = rb_sprintf("user specified timeout for %"PRIsVALUE":%"PRIsVALUE,
                         request->remote_host, request->remote_service);
    return rb_exc_new_str(rb_path2class("IO::TimeoutError"), message);
}

/* A limit was reached. Each version has words of its own, and for one address others than for a race. */
static VALUE
happy_ruby_timeout_error(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;
    const happy_result *result = &self->result;

    if (request->socket_tcp) return happy_ruby_socket_tcp_timeout(self);
    if (result->limit == HAPPY_LIMIT_CONNECT && HAPPY_RUBY_VERSION < 304) {
        return happy_ruby_host_port_error(ETIMEDOUT, "connect(2)", request->remote_host, request->remote_service);
    }
    VALUE address = HAPPY_RUBY_VERSION >= 304 ? happy_ruby_waited_for(self) : Qnil;
    if (!NIL_P(address) && HAPPY_RUBY_VERSION >= 400) {
        VALUE message = rb_sprintf("user specified timeout for %"PRIsVALUE,
                                   rb_funcall(address, rb_intern("inspect_sockaddr"), 0));
        return rb_exc_new_str(rb_path2class("IO::TimeoutError"), message);
    }
    if (!NIL_P(address) && result->limit == HAPPY_LIMIT_CONNECT) {
        return rb_exc_new_cstr(rb_path2class("IO::TimeoutError"), "Connect timed out!");
    }
    return happy_ruby_limit_error(request->remote_host, request->remote_service);
}

/* Whether CRuby races too: TCPSocket.new from 3.4 on, but not to a literal. Socket.tcp has a race of its own. */
static bool
happy_ruby_races_p(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;

    return HAPPY_RUBY_VERSION >= 304 && request->fast_fallback && !request->socket_tcp && !self->literal;
}

static VALUE
happy_ruby_lookup_error(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;
    const happy_result *result = &self->result;
    bool race = happy_ruby_races_p(self) && self->local_family == AF_UNSPEC && !result->local_at_fault;
    VALUE host = result->local_at_fault ? request->local_host : request->remote_host;

    if (!race && RB_TYPE_P(host, T_STRING) && RSTRING_LEN(host) > 0 && RSTRING_END(host)[-1] == '\n') {
        return rb_exc_new_cstr(rb_path2class("SocketError"), "newline at the end of hostname");
    }
    return happy_ruby_resolution_error(result->gai_error, result->sys_errno, race ? "getaddrinfo(3)" : "getaddrinfo");
}

/* The local address of the family of the attempt that failed, as an Addrinfo. */
static VALUE
happy_ruby_local_addrinfo(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;
    VALUE arguments[4] = {
        request->local_host, request->local_service,
        INT2NUM(self->result.address.ss_family), INT2FIX(SOCK_STREAM),
    };
    VALUE found = rb_funcallv(rb_path2class("Addrinfo"), rb_intern("getaddrinfo"), 4, arguments);

    return rb_ary_entry(found, 0);
}

/* Socket.tcp names the address at fault, the local one too. */
static VALUE
happy_ruby_socket_tcp_error(const struct happy_ruby_connect *self, const char *syscall)
{
    const happy_result *result = &self->result;
    VALUE address;

    if (result->local_at_fault && result->sys_errno == EAFNOSUPPORT) {
        return rb_exc_new_cstr(rb_path2class("SocketError"), "no appropriate local address");
    }
    if (!result->address_length) return rb_syserr_new(result->sys_errno, syscall);
    if (result->local_at_fault) address = happy_ruby_local_addrinfo(self);
    else address = happy_ruby_addrinfo(&result->address, result->address_length);
    VALUE name = rb_funcall(address, rb_intern("inspect_sockaddr"), 0);
    return rb_syserr_new_str(result->sys_errno, rb_sprintf("%s for %"PRIsVALUE, syscall, name));
}

static VALUE
happy_ruby_syscall_error(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;
    const happy_result *result = &self->result;
    const char *syscall = result->syscall ? result->syscall : "connect(2)";

    if (request->socket_tcp) return happy_ruby_socket_tcp_error(self, syscall);
    if (result->local_at_fault) {
        return happy_ruby_host_port_error(result->sys_errno, syscall, request->local_host, request->local_service);
    }
    return happy_ruby_host_port_error(result->sys_errno, syscall, request->remote_host, request->remote_service);
}

static VALUE
happy_ruby_result_error(const struct happy_ruby_connect *self)
{
    const struct happy_ruby_request *request = self->request;
    const happy_result *result = &self->result;

    if (self->timed_out) return happy_ruby_limit_error(request->remote_host, request->remote_service);
    switch (result->status) {
      case HAPPY_ERESOLVE:
        return happy_ruby_lookup_error(self);
      case HAPPY_ESYSCALL:
        return happy_ruby_syscall_error(self);
      case HAPPY_ETIMEOUT:
        return happy_ruby_timeout_error(self);
      case HAPPY_EINVALID:
        if (result->gai_error) return happy_ruby_lookup_error(self);
        return rb_exc_new_cstr(rb_eArgError, happy_error_message());
      case HAPPY_ENOMEM:
        return rb_exc_new_cstr(rb_eNoMemError, "failed to allocate memory");
      default:
        return rb_exc_new_str(rb_eIOError, rb_sprintf("connecting to %+"PRIsVALUE" port %"PRIsVALUE" failed: %s",
                                                      request->remote_host, request->remote_service,
                                                      happy_status_str(result->status)));
    }
}

NORETURN(static void happy_ruby_raise(const struct happy_ruby_connect *self));

static void
happy_ruby_raise(const struct happy_ruby_connect *self)
{
    VALUE exception = happy_ruby_result_error(self);

    rb_ivar_set(exception, rb_intern("@attempts"), happy_ruby_attempt_list(&self->result));
    rb_extend_object(exception, happy_ruby_mAttempts);
    rb_exc_raise(exception);
}
