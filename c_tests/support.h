/* What the C tests share. They run inside scripts/in-test-network, whose addresses and names they use. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <happysock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka's header needs the ones above. */
#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* No test waits longer than this for something that has to come. A machine may stand still for seconds. */
#define PATIENCE_MS 60000

/* Longer than any stall: a delay of a race that has to be over only where the test says so. */
#define NOT_SOON_MS 30000

/* The longest Connection Attempt Delay (RFC 8305, section 8). */
#define LONGEST_ATTEMPT_DELAY_MS 2000

/* How long a name server that is silent is waited for, by libc and by the library. */
#define SILENCE_MS 6000

/* Milliseconds of the monotonic clock. */
double now_ms(void);

/* Names are looked up by libc, on a worker, from here on, or as the library decides. */
void look_up_by_libc(bool on);
/* How many descriptors are open, and how many worker threads of the library there are, in this process. */
int open_descriptors(void);
int workers(void);

/* The same once no worker is inside libc, which opens files and sockets of its own there: what a test starts from. */
int settled_descriptors(void);

/* Checks that there are so many descriptors, or will be in a moment: a worker may hold the last reference for so long. */
void check_descriptors(int expected);

/* Waits until the library has no worker thread left and checks it; they leave after an idle time. */
void wait_for_workers_to_leave(void);

/* Whether a descriptor is readable now. */
bool is_readable(int fd);

/* Waits up to a limit until a descriptor is readable. */
bool wait_readable(int fd, int limit_ms);

/* Listens on a numeric address (port 0: a free one); *ret_port gets the port. The queue holds what the tests connect.
 */
int listen_on(const char *address, int *port);

/* Listens on two addresses at the same free port. */
void listen_on_both(const char *first, const char *second, int fds[2], int *port);

/* A port of 127.0.0.1 and ::1 on which nobody listens. */
int closed_port(void);

/* A number as a service. Valid until the fourth call after this one. */
const char *service(int port);

/* A DNS server that never answers: the descriptor, to be closed when it is to be gone. */
int silent_dns_server(void);

/* A lookup of the name that was made and started. */
happy_lookup *started_lookup(const char *node, int timeout_ms);

/* ---- A lookup function whose answers the test writes ------------------------------------------------------------ */

/* The answer for one family: what comes after delay_ms. */
struct script_answer {
    /* Waits for script_release instead of delay_ms when negative. */
    int delay_ms;
    /* An EAI_* code, with errno for EAI_SYSTEM; or 0 and the addresses, numeric, as many as are not NULL. */
    int gai_error;
    int sys_errno;
    const char *addresses[8];
};

struct script {
    struct script_answer six, four;
    /* What happened, counted. */
    int lookups, frees, userdata_frees, sockets_configured, events;
    /* The errno that configure_socket answers for sockets of a family; 0 lets it go on. */
    int refuse_family, refuse_errno;
    /* The trace, by kind, in the order of events. */
    int kinds[128];
    /* Called for each event after it was counted, if set. */
    void (*on_event)(const happy_trace_event *event, struct script *script);
    void *context;
};

int script_lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_res,
                  void *userdata);
void script_lookup_free(struct addrinfo *list, void *userdata);
int script_configure_socket(int fd, const struct sockaddr *address, socklen_t length, void *userdata);
void script_trace(const happy_trace_event *event, void *userdata);
void script_userdata_free(void *userdata);

/* Options that use all of the above with the script. */
happy_options script_options(struct script *script);

/* Lets lookups with a negative delay answer, those that run and those that come. */
void script_release(void);
/* From now on they wait again. */
void script_hold(void);
/* Waits until so many lookups of scripts run. */
void wait_for_running_lookups(int count);

/* Waits until the library has given the userdata back, and checks that it did so once. */
void wait_for_userdata_free(const struct script *script);

/* Whether a kind of event was seen. */
bool script_saw(const struct script *script, int kind);

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

/* "127.0.0.1" or "::1": the address of a result. */
const char *result_address(const happy_result *result);

/* A result with room for attempts. */
struct roomy_result {
    happy_attempt attempts[32];
    happy_result result;
};
void clear_result(struct roomy_result *roomy);

/* Whether a socket is connected, close-on-exec and in the mode asked for. */
void check_socket(int fd, bool nonblocking);

#endif
