/* What JavaScript gives, as C has it. */
#ifndef HAPPYSOCK_NODE_ARGUMENTS_H
#define HAPPYSOCK_NODE_ARGUMENTS_H

#include <netdb.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

/* A string as C has it, on the heap; NULL without an exception for undefined and null, NULL with one when it will not do. */
char *copy_string(napi_env env, napi_value value, const char *name);

/* The same of a property. */
char *string_property(napi_env env, napi_value object, const char *name);

/* Milliseconds, counts and the like; left as it is where it is not given. lib/index.js has checked it. */
void number_property(napi_env env, napi_value object, const char *name, int32_t *ret_number);

/* Addresses that lib/index.js has checked, as a list of getaddrinfo(3): for `addresses` and the local ones. */
struct endpoints {
    struct addrinfo *nodes;
    uint32_t count;
};

/* Empty where the property is not given; with an exception pending where it will not do. */
struct endpoints endpoints_property(napi_env env, napi_value object, const char *name);
void free_endpoints(struct endpoints *self);

bool is_exception_pending(napi_env env);

#endif
