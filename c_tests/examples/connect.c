/* connect HOST PORT: connects by name and shows the race as it happens, or as JSON for programs. Control-C cancels. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <happysock.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: connect [OPTION...] HOST PORT\n"
    "  -4, -6                        only IPv4, only IPv6\n"
    "      --timeout MS              limit over everything\n"
    "      --resolv-timeout MS       limit for the lookups\n"
    "      --connect-timeout MS      limit for connecting, from the last candidate's attempt\n"
    "      --resolution-delay MS     Resolution Delay (50)\n"
    "      --attempt-delay MS        Connection Attempt Delay (250)\n"
    "      --first-family-count N    First Address Family Count (1)\n"
    "      --max-attempts N          attempts in flight (no cap)\n"
    "      --no-fast-fallback        one attempt after the other, no race\n"
    "      --local-host HOST         bind to this address\n"
    "      --local-port PORT         bind to this port\n"
    "      --poll                    drive it by its descriptor and poll(2) instead of happy_connect_wait\n"
    "      --send TEXT               send this once connected (\\r and \\n are understood)\n"
    "      --read-timeout MS         wait this long for what the server says (1000; with --json 0: do not wait)\n"
    "      --json                    one JSON object on standard output\n"
    "Ends with 0 when connected, 1 when not, 2 for wrong usage.\n";

static happy_connect *running;

static void on_interrupt(int number)
{
    (void)number;
    happy_connect_cancel(running);
}

/* Names for numbers, in the words of the header. */
static const char *trace_name(int kind)
{
    switch (kind) {
    case HAPPY_TRACE_LOOKUP_STARTED:
        return "lookup_started";
    case HAPPY_TRACE_LOOKUP_ANSWERED:
        return "lookup_answered";
    case HAPPY_TRACE_LOOKUP_ABANDONED:
        return "lookup_abandoned";
    case HAPPY_TRACE_RESOLUTION_DELAY_STARTED:
        return "resolution_delay_started";
    case HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED:
        return "resolution_delay_expired";
    case HAPPY_TRACE_CANDIDATE_ADDED:
        return "candidate_added";
    case HAPPY_TRACE_CANDIDATE_DROPPED:
        return "candidate_dropped";
    case HAPPY_TRACE_ATTEMPT_STARTED:
        return "attempt_started";
    case HAPPY_TRACE_ATTEMPT_ENDED:
        return "attempt_ended";
    case HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET:
        return "next_attempt_timer_set";
    case HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED:
        return "next_attempt_timer_fired";
    case HAPPY_TRACE_FINISHED:
        return "finished";
    case HAPPY_TRACE_LOOKUP_HASTENED:
        return "lookup_hastened";
    case HAPPY_TRACE_FAMILY_UNANSWERED:
        return "family_unanswered";
    case HAPPY_TRACE_ATTEMPT_HELD:
        return "attempt_held";
    case HAPPY_TRACE_ADDRESS_SYNTHESIZED:
        return "address_synthesized";
    default:
        return "unknown";
    }
}

static const char *outcome_name(int outcome)
{
    switch (outcome) {
    case HAPPY_OUTCOME_RUNNING:
        return "running";
    case HAPPY_OUTCOME_CONNECTED:
        return "connected";
    case HAPPY_OUTCOME_FAILED:
        return "failed";
    case HAPPY_OUTCOME_TIMED_OUT:
        return "timed out";
    case HAPPY_OUTCOME_ABANDONED:
        return "abandoned";
    default:
        return "unknown";
    }
}

static const char *limit_name(int limit)
{
    switch (limit) {
    case HAPPY_LIMIT_RESOLV:
        return "resolv_timeout";
    case HAPPY_LIMIT_CONNECT:
        return "connect_timeout";
    case HAPPY_LIMIT_OPEN:
        return "open_timeout";
    default:
        return "none";
    }
}

static const char *family_name(int family)
{
    return family == AF_INET6 ? "IPv6" : family == AF_INET ? "IPv4" : family == AF_UNSPEC ? "both families" : "local";
}

struct text {
    char address[NI_MAXHOST];
    char port[NI_MAXSERV];
    char both[NI_MAXHOST + NI_MAXSERV + 4];
};

/* An address as people write it: 127.0.0.1:80, [::1]:80. */
static struct text address_text(const struct sockaddr *address, socklen_t length)
{
    struct text text;
    if (getnameinfo(address, length, text.address, sizeof text.address, text.port, sizeof text.port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        strcpy(text.address, "?");
        strcpy(text.port, "?");
    }
    snprintf(text.both, sizeof text.both, strchr(text.address, ':') ? "[%s]:%s" : "%s:%s", text.address, text.port);
    return text;
}

/* ---- The timeline for people ----------------------------------------------------------------------------------- */

static void show_event(const happy_trace_event *event, void *userdata)
{
    (void)userdata;
    const char *family = family_name(event->family);
    struct text at = {.both = ""};
    if (event->address)
        at = address_text(event->address, event->address_length);
    printf("%10.3f ms  ", (double)event->time_ns / 1e6);
    switch (event->kind) {
    case HAPPY_TRACE_LOOKUP_STARTED:
        printf("lookup of %s", family);
        break;
    case HAPPY_TRACE_LOOKUP_ANSWERED:
        if (event->gai_error == 0)
            printf("lookup of %s: %" PRIu32 " address%s", family, event->count, event->count == 1 ? "" : "es");
        else
            printf("lookup of %s: %s", family,
                   event->gai_error == EAI_SYSTEM ? strerror(event->sys_errno) : gai_strerror(event->gai_error));
        break;
    case HAPPY_TRACE_LOOKUP_ABANDONED:
        printf("lookup of %s: not needed any more", family);
        break;
    case HAPPY_TRACE_LOOKUP_HASTENED:
        printf("lookup of %s: needed now", family);
        break;
    case HAPPY_TRACE_RESOLUTION_DELAY_STARTED:
        printf("IPv4 waits up to %" PRId32 " ms for IPv6 (Resolution Delay)", event->delay_ms);
        break;
    case HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED:
        printf("Resolution Delay is over");
        break;
    case HAPPY_TRACE_CANDIDATE_ADDED:
        printf("candidate %s", at.both);
        break;
    case HAPPY_TRACE_CANDIDATE_DROPPED:
        printf("candidate %s dropped", at.both);
        break;
    case HAPPY_TRACE_ATTEMPT_STARTED:
        printf("attempt %" PRId32 ": connect to %s", event->attempt + 1, at.both);
        break;
    case HAPPY_TRACE_ATTEMPT_ENDED:
        printf("attempt %" PRId32 ": %s", event->attempt + 1, outcome_name(event->outcome));
        if (event->outcome == HAPPY_OUTCOME_FAILED)
            printf(": %s: %s", event->syscall ? event->syscall : "?", strerror(event->sys_errno));
        break;
    case HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET:
        printf("next attempt in %" PRId32 " ms (Connection Attempt Delay)", event->delay_ms);
        break;
    case HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED:
        printf("Connection Attempt Delay is over");
        break;
    case HAPPY_TRACE_FINISHED:
        if (event->status == HAPPY_OK)
            printf("attempt %" PRId32 " has won", event->attempt + 1);
        else
            printf("not connected: %s", happy_status_str(event->status));
        break;
    case HAPPY_TRACE_FAMILY_UNANSWERED:
        printf("%s does not answer in this network", family);
        break;
    default:
        printf("%s", happy_trace_kind_str(event->kind));
    }
    putchar('\n');
    fflush(stdout);
}

/* ---- The same for programs ------------------------------------------------------------------------------------- */

static void set_address(json_t *object, const struct sockaddr *address, socklen_t length)
{
    struct text text = address_text(address, length);
    json_object_set_new(object, "address", json_string(text.address));
    json_object_set_new(object, "port", json_integer(atoi(text.port)));
}

static void set_error(json_t *object, int gai_error, int sys_errno, const char *syscall)
{
    if (gai_error != 0) {
        json_object_set_new(object, "gai_error", json_integer(gai_error));
        json_object_set_new(object, "gai_message", json_string(gai_strerror(gai_error)));
    }
    if (sys_errno != 0) {
        json_object_set_new(object, "errno", json_integer(sys_errno));
        json_object_set_new(object, "errno_name", json_string(strerrorname_np(sys_errno)));
    }
    if (syscall)
        json_object_set_new(object, "syscall", json_string(syscall));
}

static void record_event(const happy_trace_event *event, void *userdata)
{
    json_t *step = json_object();
    json_object_set_new(step, "time_ms", json_real((double)event->time_ns / 1e6));
    json_object_set_new(step, "event", json_string(trace_name(event->kind)));
    if (event->family >= 0)
        json_object_set_new(step, "family",
                            event->family == AF_UNSPEC ? json_string("both") : json_string(family_name(event->family)));
    if (event->attempt >= 0)
        json_object_set_new(step, "attempt", json_integer(event->attempt));
    if (event->outcome >= 0)
        json_object_set_new(step, "outcome", json_string(outcome_name(event->outcome)));
    if (event->delay_ms >= 0)
        json_object_set_new(step, "delay_ms", json_integer(event->delay_ms));
    if (event->kind == HAPPY_TRACE_LOOKUP_ANSWERED)
        json_object_set_new(step, "count", json_integer(event->count));
    if (event->kind == HAPPY_TRACE_FINISHED)
        json_object_set_new(step, "status", json_integer(event->status));
    if (event->address)
        set_address(step, event->address, event->address_length);
    set_error(step, event->gai_error, event->sys_errno, event->syscall);
    json_array_append_new(userdata, step);
}

static json_t *attempts_json(const happy_result *result)
{
    json_t *list = json_array();
    for (size_t i = 0; i < result->attempts_count && i < result->attempts_capacity; i++) {
        const happy_attempt *attempt = &result->attempts[i];
        json_t *object = json_object();
        json_object_set_new(object, "family", json_string(family_name(attempt->family)));
        set_address(object, (const struct sockaddr *)&attempt->address, attempt->address_length);
        json_object_set_new(object, "started_ms", json_real((double)attempt->started_ns / 1e6));
        json_object_set_new(object, "ended_ms", json_real((double)attempt->ended_ns / 1e6));
        json_object_set_new(object, "outcome", json_string(outcome_name(attempt->outcome)));
        set_error(object, 0, attempt->sys_errno, attempt->syscall);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *result_json(const happy_result *result, const char *message)
{
    json_t *object = json_object();
    json_object_set_new(object, "connected", json_boolean(result->fd >= 0));
    json_object_set_new(object, "status", json_integer(result->status));
    json_object_set_new(object, "status_text", json_string(happy_status_str(result->status)));
    if (result->status != HAPPY_OK)
        json_object_set_new(object, "message", json_string(message));
    if (result->argument)
        json_object_set_new(object, "argument", json_string(result->argument));
    if (result->limit != HAPPY_LIMIT_NONE)
        json_object_set_new(object, "limit", json_string(limit_name(result->limit)));
    set_error(object, result->gai_error, result->sys_errno, result->syscall);
    if (result->address_length > 0) {
        json_object_set_new(object, "family", json_string(family_name(result->address.ss_family)));
        set_address(object, (const struct sockaddr *)&result->address, result->address_length);
    }
    json_object_set_new(object, "attempts", attempts_json(result));
    return object;
}

/* ---- Driving it ------------------------------------------------------------------------------------------------- */

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void drive_by_poll(happy_connect *connect)
{
    struct pollfd descriptor = {happy_connect_get_fd(connect), POLLIN, 0};
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN)
        poll(&descriptor, 1, happy_connect_get_timeout_ms(connect));
}

static void drive_by_waiting(happy_connect *connect)
{
    /* An interrupt would end a wait early; this program asks for none, so one wait is enough. */
    happy_connect_wait(connect);
}

/* What the server says first, within a limit; the length, 0 when it said nothing. */
static size_t listen_to_server(int fd, int limit_ms, char *text, size_t capacity)
{
    struct pollfd readable = {fd, POLLIN, 0};
    if (limit_ms == 0 || poll(&readable, 1, limit_ms) <= 0)
        return 0;
    ssize_t length = read(fd, text, capacity);
    return length > 0 ? (size_t)length : 0;
}

static void send_text(int fd, const char *text)
{
    char bytes[4096];
    size_t length = 0;
    for (; *text && length < sizeof bytes; text++) {
        if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
            bytes[length++] = *++text == 'r' ? '\r' : '\n';
        else
            bytes[length++] = *text;
    }
    for (size_t sent = 0; sent < length;) {
        ssize_t written = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (written < 0) {
            fprintf(stderr, "connect: send: %s\n", strerror(errno));
            return;
        }
        sent += (size_t)written;
    }
}

/* A number of an option; the program ends with a message when it is none. */
static int number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < -1 || value > INT_MAX) {
        fprintf(stderr, "connect: --%s: '%s' is not a number of at least 0 (or -1)\n", option, text);
        exit(2);
    }
    return (int)value;
}

enum {
    TIMEOUT = 256,
    RESOLV_TIMEOUT,
    CONNECT_TIMEOUT,
    RESOLUTION_DELAY,
    ATTEMPT_DELAY,
    FIRST_FAMILY_COUNT,
    MAX_ATTEMPTS,
    NO_FAST_FALLBACK,
    LOCAL_HOST,
    LOCAL_PORT,
    POLL,
    SEND,
    READ_TIMEOUT,
    JSON,
    HELP
};

static const struct option long_options[] = {{"timeout", required_argument, NULL, TIMEOUT},
                                             {"resolv-timeout", required_argument, NULL, RESOLV_TIMEOUT},
                                             {"connect-timeout", required_argument, NULL, CONNECT_TIMEOUT},
                                             {"resolution-delay", required_argument, NULL, RESOLUTION_DELAY},
                                             {"attempt-delay", required_argument, NULL, ATTEMPT_DELAY},
                                             {"first-family-count", required_argument, NULL, FIRST_FAMILY_COUNT},
                                             {"max-attempts", required_argument, NULL, MAX_ATTEMPTS},
                                             {"no-fast-fallback", no_argument, NULL, NO_FAST_FALLBACK},
                                             {"local-host", required_argument, NULL, LOCAL_HOST},
                                             {"local-port", required_argument, NULL, LOCAL_PORT},
                                             {"poll", no_argument, NULL, POLL},
                                             {"send", required_argument, NULL, SEND},
                                             {"read-timeout", required_argument, NULL, READ_TIMEOUT},
                                             {"json", no_argument, NULL, JSON},
                                             {"help", no_argument, NULL, HELP},
                                             {NULL, 0, NULL, 0}};

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_attempt attempts[64];
    happy_result result = HAPPY_RESULT_INIT;
    int by_poll = 0, as_json = 0, read_timeout_ms = -1, option, index = 0;
    const char *to_send = NULL;

    result.attempts = attempts;
    result.attempts_capacity = sizeof attempts / sizeof attempts[0];
    while ((option = getopt_long(argc, argv, "46h", long_options, &index)) != -1) {
        const char *name = option >= TIMEOUT ? long_options[index].name : "";
        switch (option) {
        case '4':
            options.family = AF_INET;
            break;
        case '6':
            options.family = AF_INET6;
            break;
        case TIMEOUT:
            options.open_timeout_ms = number(name, optarg);
            break;
        case RESOLV_TIMEOUT:
            options.resolv_timeout_ms = number(name, optarg);
            break;
        case CONNECT_TIMEOUT:
            options.connect_timeout_ms = number(name, optarg);
            break;
        case RESOLUTION_DELAY:
            options.resolution_delay_ms = number(name, optarg);
            break;
        case ATTEMPT_DELAY:
            options.connection_attempt_delay_ms = number(name, optarg);
            break;
        case FIRST_FAMILY_COUNT:
            options.first_address_family_count = (uint32_t)number(name, optarg);
            break;
        case MAX_ATTEMPTS:
            options.max_attempts = (uint32_t)number(name, optarg);
            break;
        case NO_FAST_FALLBACK:
            options.flags |= HAPPY_FLAG_NO_FAST_FALLBACK;
            break;
        case LOCAL_HOST:
            options.local_host = optarg;
            break;
        case LOCAL_PORT:
            options.local_service = optarg;
            break;
        case POLL:
            by_poll = 1;
            break;
        case SEND:
            to_send = optarg;
            break;
        case READ_TIMEOUT:
            read_timeout_ms = number(name, optarg);
            break;
        case JSON:
            as_json = 1;
            break;
        case 'h':
        case HELP:
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (argc - optind != 2) {
        fputs(usage, stderr);
        return 2;
    }
    const char *host = argv[optind], *port = argv[optind + 1];
    if (read_timeout_ms < 0)
        read_timeout_ms = as_json ? 0 : 1000;

    json_t *trace = json_array();
    options.trace = as_json ? record_event : show_event;
    options.userdata = trace;

    double began = now_ms();
    char message[512];
    int status = happy_connect_new(host, port, &options, &running, &result);
    if (status != HAPPY_OK) {
        happy_result_message(&result, message, sizeof message);
        fprintf(stderr, "connect: %s: %s\n", happy_status_str(status), message);
        json_decref(trace);
        return 2;
    }
    struct sigaction on_control_c = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &on_control_c, NULL);
    (by_poll ? drive_by_poll : drive_by_waiting)(running);
    int fd = happy_connect_take_result(running, &result);
    double elapsed_ms = now_ms() - began;
    happy_result_message(&result, message, sizeof message);
    signal(SIGINT, SIG_DFL);
    happy_connect_free(running);

    char said[1024];
    size_t said_length = 0;
    if (fd >= 0) {
        if (to_send)
            send_text(fd, to_send);
        said_length = listen_to_server(fd, read_timeout_ms, said, sizeof said);
        close(fd);
    }
    if (as_json) {
        json_t *object = result_json(&result, message);
        json_object_set_new(object, "host", json_string(host));
        json_object_set_new(object, "service", json_string(port));
        json_object_set_new(object, "elapsed_ms", json_real(elapsed_ms));
        json_object_set_new(object, "trace", trace);
        if (said_length > 0)
            /* Bytes that are no UTF-8 make no JSON string. */
            json_object_set_new(object, "server_said", json_stringn(said, said_length));
        json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(object);
        return fd < 0;
    }
    json_decref(trace);
    if (fd < 0) {
        printf("%s: %s\n", happy_status_str(result.status), message);
    } else if (read_timeout_ms != 0) {
        printf("the server said: ");
        if (said_length == 0)
            printf("nothing within %d ms", read_timeout_ms);
        for (size_t i = 0; i < said_length && said[i] != '\n'; i++)
            putchar(said[i] >= ' ' && said[i] < 0x7f ? said[i] : '?');
        putchar('\n');
    }
    return fd < 0;
}
