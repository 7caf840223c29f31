/* A name server at 127.0.0.53, on a thread of its own. What it says of a name follows from the name's first label:
 *   both*, lo*   both families: ::1 and 127.0.0.1
 *   four*        an address of IPv4; no data for IPv6
 *   nx*          no such name
 *   fail*        SERVFAIL
 *   tc*          truncated; the answer by TCP
 *   stall*       truncated; by TCP the connection stands and nothing comes
 *   junk*        before the answer: wrong ids, another question, cut off headers, pointers beyond the end
 *   flood*       junk without end, until the server is asked for another name
 *   silence*     nothing
 *   svc*         addresses as both*, and a service binding (HTTPS, RFC 9460) to four.svc.test: priority 1, for h2 and h3, at the
 *                port of name_server_set_service_port, with ECH
 *   svcbare*     addresses as both*, and a binding to itself that says nothing else: priority 7 */
#ifndef NAME_SERVER_H
#define NAME_SERVER_H

#include <stdbool.h>
#include <stdint.h>

/* The bytes of ECH in the binding of svc*. */
#define SERVICE_ECH "\x00\x05\xfe\x0d\x00\x01\x2c"
#define SERVICE_ECH_LENGTH (sizeof SERVICE_ECH - 1)

/* How many questions there can be on record. */
#define MOST_QUESTIONS 4096

struct asked {
    uint16_t id, port, type;
    char name[64];
    bool by_tcp;
};

/* Starts it, with an empty record; and ends it. */
void name_server_start(void);
void name_server_stop(void);

/* Starts it in a process of its own, which ends with this one; returns once it listens. It keeps no record that this one sees. */
void name_server_start_process(void);

/* The port that the binding of svc* names. Before the server is started. */
void name_server_set_service_port(int port);

/* How many questions have come for a name, each counted once; NULL: for any. As of now. */
int questions_for(const char *name);

/* The questions in the order in which they came; valid once the server was stopped. */
const struct asked *questions(int *ret_count);

#endif
