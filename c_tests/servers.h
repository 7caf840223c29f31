/* Servers that connects reach, and what each test of a connect begins and ends with. */
#ifndef SERVERS_H
#define SERVERS_H

#include "support.h"

/* On 127.0.0.1, ::1, 203.0.113.1 and 2001:db8:1::1, all at one port. */
extern int servers[4], port;

/* The group's set-up. */
int start_servers(void **state);

/* A test that leaves as many descriptors as it found. */
#define RACE_TEST(test) cmocka_unit_test_setup_teardown(test, remember_descriptors, compare_descriptors)
int remember_descriptors(void **state);
int compare_descriptors(void **state);

/* The server's end of a connection that was just made; -1 when there is none. */
int accept_from(int server);

/* Connects to a name that the script of the options answers, at the servers' port; the socket is checked. */
int connect_scripted(const happy_options *options, struct roomy_result *roomy);

/* When an attempt started, in milliseconds of the race. */
double started_ms(const struct roomy_result *roomy, int attempt);

#endif
