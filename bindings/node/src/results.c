#include "results.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <uv.h>

void set_string(napi_env env, napi_value object, const char *name, const char *text)
{
    napi_value value;
    if (text && napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
        napi_set_named_property(env, object, name, value);
}

void set_number(napi_env env, napi_value object, const char *name, double number)
{
    napi_value value;
    if (napi_create_double(env, number, &value) == napi_ok)
        napi_set_named_property(env, object, name, value);
}

static void set_address(napi_env env, napi_value object, const struct sockaddr_storage *address, socklen_t length)
{
    char text[INET6_ADDRSTRLEN];
    if (length == 0)
        return;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        set_string(env, object, "address", inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text));
        set_string(env, object, "family", "IPv4");
        set_number(env, object, "port", ntohs(v4->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        set_string(env, object, "address", inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text));
        set_string(env, object, "family", "IPv6");
        set_number(env, object, "port", ntohs(v6->sin6_port));
    }
}

napi_value result_object(napi_env env, const happy_result *result)
{
    napi_value object, list;
    char message[512];
    CHECK(env, napi_create_object(env, &object));
    set_number(env, object, "status", result->status);
    set_string(env, object, "statusText", happy_status_str(result->status));
    set_number(env, object, "fd", result->fd);
    set_number(env, object, "gaiError", result->gai_error);
    if (result->gai_error != 0)
        set_string(env, object, "gaiText", gai_strerror(result->gai_error));
    set_number(env, object, "errno", result->sys_errno);
    if (result->sys_errno != 0)
        set_string(env, object, "code", uv_err_name(-result->sys_errno));
    set_string(env, object, "syscall", result->syscall);
    set_string(env, object, "argument", result->argument);
    set_string(env, object, "source", result->source);
    set_address(env, object, &result->address, result->address_length);
    if (happy_result_message(result, message, sizeof message) >= 0)
        set_string(env, object, "message", message);
    CHECK(env, napi_create_array(env, &list));
    for (uint32_t index = 0; index < result->attempts_count; index++) {
        const happy_attempt *attempt = happy_result_get_attempt(result, index);
        napi_value entry;
        if (!attempt)
            break;
        CHECK(env, napi_create_object(env, &entry));
        set_address(env, entry, &attempt->address, attempt->address_length);
        set_string(env, entry, "outcome", happy_outcome_str(attempt->outcome));
        if (attempt->sys_errno != 0)
            set_string(env, entry, "code", uv_err_name(-attempt->sys_errno));
        set_string(env, entry, "syscall", attempt->syscall);
        set_number(env, entry, "startedMs", (double)attempt->started_ns / 1e6);
        set_number(env, entry, "endedMs", (double)attempt->ended_ns / 1e6);
        CHECK(env, napi_set_element(env, list, index, entry));
    }
    CHECK(env, napi_set_named_property(env, object, "attempts", list));
    return object;
}
