/*
 * happysock as an addon of Node.js: start(host, port, options, done, told), confirm(connect, fd, wanted) and cancel(connect),
 * and the three of a history.
 *
 * A connect is one descriptor, which the loop of this environment watches by uv_poll_t: nothing blocks the loop, and none of
 * libuv's threads is used. What is checked here is what could not be told apart later; lib/index.js does the rest.
 *
 * A connect is freed when its handle in the loop has closed, which is after it was finished, cancelled, or given up because the
 * environment ends (process.exit, the end of a worker).
 */
#include "arguments.h"
#include "results.h"

#include <fcntl.h>
#include <happysock.h>
#include <netinet/in.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

/* A socket that is held, and a descriptor of its own for it; or -1: it is taken back. */
struct told {
    int fd;
    int own;
};

/*
 * What the library has told in a dispatch, in its order, for `told` to hear after that: JavaScript may end the connect. Each socket
 * is told of twice at most, which there is room for from its first time on.
 */
struct holding {
    struct told *told;
    size_t count;
    size_t heard;
    size_t room;
};

struct connecting {
    uv_poll_t poll;
    happy_connect *connect;
    struct holding *holding;
    napi_env env;
    napi_ref done;
    napi_ref told;
    napi_ref handle;
    napi_async_context context;
    napi_async_cleanup_hook_handle cleanup;
    /* The environment is ending: no JavaScript may run any more. */
    bool ending;
};

/* ---- Sockets that are held -------------------------------------------------------------------------------------------- */

static int hold(int fd, const struct sockaddr *address, socklen_t address_length, void *userdata)
{
    struct holding *self = userdata;
    struct told *grown = realloc(self->told, (self->room + 2) * sizeof *grown);
    int own;
    (void)address, (void)address_length;
    if (!grown)
        return HAPPY_CONFIRM_NO;
    self->told = grown;
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return HAPPY_CONFIRM_NO;
    self->room += 2;
    self->told[self->count++] = (struct told){fd, own};
    return HAPPY_CONFIRM_LATER;
}

static void take_back(int fd, void *userdata)
{
    struct holding *self = userdata;
    self->told[self->count++] = (struct told){fd, -1};
}

static void free_holding(struct holding *self)
{
    if (!self)
        return;
    for (; self->heard < self->count; self->heard++)
        if (self->told[self->heard].own >= 0)
            close(self->told[self->heard].own);
    free(self->told);
    free(self);
}

/* ---- The life of a connect -------------------------------------------------------------------------------------------- */

static void closed(uv_handle_t *handle)
{
    struct connecting *self = handle->data;
    napi_handle_scope scope;
    if (!self->ending && napi_open_handle_scope(self->env, &scope) == napi_ok) {
        napi_async_destroy(self->env, self->context);
        napi_delete_reference(self->env, self->done);
        if (self->told)
            napi_delete_reference(self->env, self->told);
        napi_delete_reference(self->env, self->handle);
        napi_close_handle_scope(self->env, scope);
    }
    napi_remove_async_cleanup_hook(self->cleanup);
    free(self);
}

/* Ends it: the library closes what is left of it, the loop forgets its descriptor. */
static void end(struct connecting *self)
{
    if (uv_is_closing((uv_handle_t *)&self->poll))
        return;
    uv_poll_stop(&self->poll);
    /* The loop has let go of the descriptor, which is the connect's. */
    happy_connect_free(self->connect);
    self->connect = NULL;
    free_holding(self->holding);
    self->holding = NULL;
    uv_close((uv_handle_t *)&self->poll, closed);
}

static void environment_ends(napi_async_cleanup_hook_handle handle, void *data)
{
    struct connecting *self = data;
    (void)handle;
    self->ending = true;
    end(self);
}

/* Calls a function of JavaScript; false where it was not called. An exception of it goes the way of every uncaught one. */
static bool call(struct connecting *self, napi_ref function, size_t count, const napi_value *arguments)
{
    napi_env env = self->env;
    napi_value callee, receiver, exception;
    if (napi_get_reference_value(env, function, &callee) != napi_ok || napi_get_global(env, &receiver) != napi_ok)
        return false;
    if (napi_make_callback(env, self->context, receiver, callee, count, arguments, NULL) == napi_pending_exception) {
        napi_get_and_clear_last_exception(env, &exception);
        napi_fatal_exception(env, exception);
    }
    return true;
}

/* Tells what was told, until that ends the connect. */
static void tell(struct connecting *self)
{
    while (self->holding && self->holding->heard < self->holding->count) {
        const struct told told = self->holding->told[self->holding->heard++];
        napi_handle_scope scope;
        napi_value arguments[2];
        bool called = false;
        if (napi_open_handle_scope(self->env, &scope) == napi_ok) {
            called = napi_create_int32(self->env, told.fd, &arguments[0]) == napi_ok &&
                     napi_create_int32(self->env, told.own, &arguments[1]) == napi_ok && call(self, self->told, 2, arguments);
            napi_close_handle_scope(self->env, scope);
        }
        if (!called && told.own >= 0)
            close(told.own);
    }
}

static void finished(struct connecting *self)
{
    happy_attempt attempts[ATTEMPTS];
    happy_result result = HAPPY_RESULT_INIT;
    napi_env env = self->env;
    napi_handle_scope scope;
    napi_value argument;
    result.attempts = attempts;
    result.attempts_capacity = ATTEMPTS;
    int fd = happy_connect_take_result(self->connect, &result);
    end(self);
    if (napi_open_handle_scope(env, &scope) != napi_ok) {
        if (fd >= 0)
            close(fd);
        return;
    }
    argument = result_object(env, &result);
    if ((!argument || !call(self, self->done, 1, &argument)) && fd >= 0)
        close(fd);
    napi_close_handle_scope(env, scope);
}

static void readable(uv_poll_t *poll, int status, int events)
{
    struct connecting *self = poll->data;
    (void)status;
    (void)events;
    bool is_finished = happy_connect_dispatch(self->connect) != HAPPY_EAGAIN;
    tell(self);
    if (is_finished && self->connect)
        finished(self);
}

/* Watches the descriptor of a connect that has begun, whose `holding` it takes. Throws where that cannot be. */
static napi_value watch(napi_env env, happy_connect *connect, struct holding *holding, napi_value done, napi_value told)
{
    struct connecting *self = calloc(1, sizeof *self);
    uv_loop_t *loop;
    napi_value handle, name;
    int fd = happy_connect_get_fd(connect), error;
    if (!self || fd < 0 || napi_get_uv_event_loop(env, &loop) != napi_ok) {
        napi_throw_error(env, self ? "EMFILE" : "ENOMEM", self ? "no descriptor is left" : "out of memory");
        happy_connect_free(connect);
        free_holding(holding);
        free(self);
        return NULL;
    }
    error = uv_poll_init(loop, &self->poll, fd);
    if (error != 0) {
        napi_throw_error(env, uv_err_name(error), uv_strerror(error));
        happy_connect_free(connect);
        free_holding(holding);
        free(self);
        return NULL;
    }
    self->poll.data = self;
    self->connect = connect;
    self->holding = holding;
    self->env = env;
    /* None of these fails but for want of memory, for which Node.js ends the process. */
    napi_add_async_cleanup_hook(env, environment_ends, self, &self->cleanup);
    napi_create_external(env, self, NULL, NULL, &handle);
    napi_create_string_utf8(env, "HAPPYCONNECT", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, handle, name, &self->context);
    napi_create_reference(env, done, 1, &self->done);
    if (holding)
        napi_create_reference(env, told, 1, &self->told);
    napi_create_reference(env, handle, 1, &self->handle);
    uv_poll_start(&self->poll, UV_READABLE, readable);
    return handle;
}

static void drop_history(napi_env env, void *history, void *hint)
{
    (void)env;
    (void)hint;
    happy_history_unref(history);
}

/* newHistory(): an external value, for `history` of start and for the two below. */
static napi_value new_history(napi_env env, napi_callback_info info)
{
    happy_history *history;
    napi_value external;
    (void)info;
    if (happy_history_new(&history) != HAPPY_OK) {
        napi_throw_error(env, "ENOMEM", "out of memory");
        return NULL;
    }
    CHECK(env, napi_create_external(env, history, drop_history, NULL, &external));
    return external;
}

static happy_history *history_of(napi_env env, napi_callback_info info)
{
    size_t count = 1;
    napi_value argument;
    void *history = NULL;
    CHECK(env, napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
    CHECK(env, napi_get_value_external(env, argument, &history));
    return history;
}

static napi_value flush_history(napi_env env, napi_callback_info info)
{
    happy_history_flush(history_of(env, info));
    return NULL;
}

static napi_value report_history(napi_env env, napi_callback_info info)
{
    happy_history_report report = HAPPY_HISTORY_REPORT_INIT;
    napi_value object;
    happy_history_get_report(history_of(env, info), &report);
    CHECK(env, napi_create_object(env, &object));
    set_number(env, object, "destinations", report.destinations);
    set_number(env, object, "networks", report.networks);
    set_number(env, object, "unansweredV6", report.unanswered_v6);
    set_number(env, object, "unansweredV4", report.unanswered_v4);
    return object;
}

/*
 * start(host, port, options, done, told): an external value for confirm and cancel, or the result of a refusal. `told`, where it is
 * given, hears of each socket that is held until confirm answers for it: its descriptor, and another one of it that is the
 * caller's; and when it is taken back, with -1.
 */
static napi_value start(napi_env env, napi_callback_info info)
{
    size_t count = 5;
    napi_value argv[5], answer = NULL;
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    happy_connect *connect = NULL;
    int32_t first = 1, most = 0, flags = 0;
    CHECK(env, napi_get_cb_info(env, info, &count, argv, NULL, NULL));
    char *host = copy_string(env, argv[0], "host");
    char *port = is_exception_pending(env) ? NULL : copy_string(env, argv[1], "port");
    char *local_host = is_exception_pending(env) ? NULL : string_property(env, argv[2], "localAddress");
    char *local_service = is_exception_pending(env) ? NULL : string_property(env, argv[2], "localPort");
    char *nat64 = is_exception_pending(env) ? NULL : string_property(env, argv[2], "nat64");
    struct endpoints none = {NULL, 0};
    struct endpoints addresses = is_exception_pending(env) ? none : endpoints_property(env, argv[2], "addresses");
    struct endpoints local_v4 = is_exception_pending(env) ? none : endpoints_property(env, argv[2], "localV4");
    struct endpoints local_v6 = is_exception_pending(env) ? none : endpoints_property(env, argv[2], "localV6");
    if (!is_exception_pending(env)) {
        napi_value history;
        void *known = NULL;
        if (napi_get_named_property(env, argv[2], "history", &history) == napi_ok &&
            napi_get_value_external(env, history, &known) == napi_ok)
            options.history = known;
        options.local_host = local_host;
        options.local_service = local_service;
        options.nat64 = nat64;
        options.addresses = addresses.nodes;
        options.local_v4 = local_v4.nodes ? (const struct sockaddr_in *)local_v4.nodes->ai_addr : NULL;
        options.local_v6 = local_v6.nodes ? (const struct sockaddr_in6 *)local_v6.nodes->ai_addr : NULL;
        number_property(env, argv[2], "timeout", &options.open_timeout_ms);
        number_property(env, argv[2], "resolutionDelay", &options.resolution_delay_ms);
        number_property(env, argv[2], "connectionAttemptDelay", &options.connection_attempt_delay_ms);
        number_property(env, argv[2], "firstAddressFamilyCount", &first);
        number_property(env, argv[2], "maxAttempts", &most);
        number_property(env, argv[2], "family", &options.family);
        number_property(env, argv[2], "flags", &flags);
        options.family = options.family == 4 ? AF_INET : options.family == 6 ? AF_INET6 : AF_UNSPEC;
        options.first_address_family_count = (uint32_t)first;
        options.max_attempts = (uint32_t)most;
        options.flags = HAPPY_FLAG_NONBLOCKING | (uint32_t)flags;
        napi_valuetype type = napi_undefined;
        struct holding *holding = NULL;
        napi_typeof(env, argv[4], &type);
        if (type == napi_function) {
            holding = calloc(1, sizeof *holding);
            options.confirm = hold;
            options.release_socket = take_back;
            options.userdata = holding;
        }
        if (type == napi_function && !holding) {
            napi_throw_error(env, "ENOMEM", "out of memory");
        } else if (happy_connect_new(host, port, &options, &connect, &result) == HAPPY_OK) {
            answer = watch(env, connect, holding, argv[3], argv[4]);
        } else {
            free_holding(holding);
            answer = result_object(env, &result);
        }
    }
    free(host);
    free(port);
    free(local_host);
    free(local_service);
    free(nat64);
    free_endpoints(&addresses);
    free_endpoints(&local_v4);
    free_endpoints(&local_v6);
    return answer;
}

/* confirm(connect, fd, wanted): answers for a socket that is held; whether it was. For a connect that has not ended. */
static napi_value confirm(napi_env env, napi_callback_info info)
{
    size_t count = 3;
    napi_value argv[3], answer;
    void *data;
    int32_t fd;
    bool wanted;
    CHECK(env, napi_get_cb_info(env, info, &count, argv, NULL, NULL));
    CHECK(env, napi_get_value_external(env, argv[0], &data));
    CHECK(env, napi_get_value_int32(env, argv[1], &fd));
    CHECK(env, napi_get_value_bool(env, argv[2], &wanted));
    struct connecting *self = data;
    int status = happy_connect_confirm(self->connect, fd, wanted ? HAPPY_CONFIRM_YES : HAPPY_CONFIRM_NO);
    CHECK(env, napi_get_boolean(env, status == HAPPY_OK, &answer));
    return answer;
}

/* cancel(connect): ends it; done is not called. For one that has not ended, which the caller knows. */
static napi_value cancel(napi_env env, napi_callback_info info)
{
    size_t count = 1;
    napi_value argument;
    void *self;
    CHECK(env, napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
    CHECK(env, napi_get_value_external(env, argument, &self));
    end(self);
    return NULL;
}

NAPI_MODULE_INIT()
{
    napi_value function;
    const struct {
        const char *name;
        napi_callback function;
    } functions[] = {{"start", start},
                     {"confirm", confirm},
                     {"cancel", cancel},
                     {"newHistory", new_history},
                     {"flushHistory", flush_history},
                     {"reportHistory", report_history}};
    for (size_t index = 0; index < sizeof functions / sizeof functions[0]; index++) {
        CHECK(env, napi_create_function(env, functions[index].name, NAPI_AUTO_LENGTH, functions[index].function, NULL, &function));
        CHECK(env, napi_set_named_property(env, exports, functions[index].name, function));
    }
    set_number(env, exports, "NO_FAST_FALLBACK", HAPPY_FLAG_NO_FAST_FALLBACK);
    set_number(env, exports, "GROWING_DELAY", HAPPY_FLAG_GROWING_DELAY);
    set_number(env, exports, "SHARE_TIMEOUT", HAPPY_FLAG_SHARE_TIMEOUT);
    set_number(env, exports, "ONLY_CONNECTED_FAMILIES", HAPPY_FLAG_ONLY_CONNECTED_FAMILIES);
    set_number(env, exports, "LOOKUP_BY_LIBC", HAPPY_FLAG_LOOKUP_BY_LIBC);
    set_string(env, exports, "version", happy_version());
    return exports;
}
