/* What a program has set on a socket, for another socket that is to take its place. */
#ifndef PRELOAD_SOCKET_OPTIONS_H
#define PRELOAD_SOCKET_OPTIONS_H

/*
 * Sets on `to` what differs on `from` from a new socket of its family. Options of IPv4 have a counterpart of IPv6 where
 * there is one. Answers 0, or the errno of what could not be set: `to` must not be used then.
 */
int socket_options_copy(int from, int to);

#endif
