#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *copy_string(napi_env env, napi_value value, const char *name)
{
    napi_valuetype type;
    size_t length;
    char *text = NULL, why[64];
    napi_typeof(env, value, &type);
    if (type == napi_undefined || type == napi_null)
        return NULL;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
        snprintf(why, sizeof why, "%s must be a string", name);
        napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", why);
    } else if (!(text = malloc(length + 1))) {
        napi_throw_error(env, "ENOMEM", "out of memory");
    } else {
        napi_get_value_string_utf8(env, value, text, length + 1, &length);
        if (memchr(text, 0, length)) {
            free(text);
            text = NULL;
            snprintf(why, sizeof why, "%s must be a string without null bytes", name);
            napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", why);
        }
    }
    return text;
}

char *string_property(napi_env env, napi_value object, const char *name)
{
    napi_value value;
    return napi_get_named_property(env, object, name, &value) == napi_ok ? copy_string(env, value, name) : NULL;
}

void number_property(napi_env env, napi_value object, const char *name, int32_t *ret_number)
{
    napi_value value;
    double number;
    if (napi_get_named_property(env, object, name, &value) == napi_ok &&
        napi_get_value_double(env, value, &number) == napi_ok)
        *ret_number = number >= INT32_MAX ? INT32_MAX : number <= INT32_MIN ? INT32_MIN : (int32_t)number;
}

void free_endpoints(struct endpoints *self)
{
    for (uint32_t index = 0; index < self->count; index++)
        free(self->nodes[index].ai_addr);
    free(self->nodes);
}

static bool parse_endpoint(napi_env env, napi_value list, uint32_t index, struct addrinfo *node)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    napi_value endpoint;
    if (napi_get_element(env, list, index, &endpoint) != napi_ok)
        return false;
    char *address = string_property(env, endpoint, "address");
    char *port = address ? string_property(env, endpoint, "port") : NULL;
    /* A zone whose interface is not there is what can be wrong still. */
    bool parsed = port && getaddrinfo(address, port, &hints, &found) == 0;
    free(address);
    free(port);
    if (!parsed) {
        napi_throw_type_error(env, "ERR_INVALID_IP_ADDRESS", "the zone of an address is unknown");
        return false;
    }
    node->ai_family = found->ai_family;
    node->ai_addrlen = found->ai_addrlen;
    node->ai_addr = malloc(found->ai_addrlen);
    if (node->ai_addr)
        memcpy(node->ai_addr, found->ai_addr, found->ai_addrlen);
    else
        napi_throw_error(env, "ENOMEM", "out of memory");
    freeaddrinfo(found);
    return node->ai_addr != NULL;
}

struct endpoints endpoints_property(napi_env env, napi_value object, const char *name)
{
    struct endpoints self = {NULL, 0};
    napi_value list;
    bool given = false;
    uint32_t count = 0;
    if (napi_get_named_property(env, object, name, &list) != napi_ok || napi_is_array(env, list, &given) != napi_ok || !given ||
        napi_get_array_length(env, list, &count) != napi_ok || count == 0)
        return self;
    self.nodes = calloc(count, sizeof *self.nodes);
    if (!self.nodes) {
        napi_throw_error(env, "ENOMEM", "out of memory");
        return self;
    }
    while (self.count < count && parse_endpoint(env, list, self.count, &self.nodes[self.count])) {
        if (self.count > 0)
            self.nodes[self.count - 1].ai_next = &self.nodes[self.count];
        self.count++;
    }
    return self;
}

bool is_exception_pending(napi_env env)
{
    bool pending = true;
    napi_is_exception_pending(env, &pending);
    return pending;
}
