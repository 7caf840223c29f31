/* What C knows, as JavaScript sees it. */
#ifndef HAPPYSOCK_NODE_RESULTS_H
#define HAPPYSOCK_NODE_RESULTS_H

#include <happysock.h>
#include <node_api.h>

/* The attempts that a result has room for. */
enum { ATTEMPTS = 64 };

/* Throws and answers NULL where a call of Node-API failed; an exception that is pending already stays. */
#define CHECK(env, call)                                                 \
    do {                                                                 \
        if ((call) != napi_ok) {                                         \
            bool pending = false;                                        \
            napi_is_exception_pending((env), &pending);                  \
            if (!pending)                                                \
                napi_throw_error((env), NULL, "Node-API failed: " #call); \
            return NULL;                                                 \
        }                                                                \
    } while (0)

/* A property of an object; none where the text is NULL. */
void set_string(napi_env env, napi_value object, const char *name, const char *text);
void set_number(napi_env env, napi_value object, const char *name, double number);

/* What came of it: the descriptor, or all that an Error is made of. */
napi_value result_object(napi_env env, const happy_result *result);

#endif
