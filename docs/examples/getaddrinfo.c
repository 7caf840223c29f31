/* A lookup with a limit of five seconds, in the place of getaddrinfo(3).
 *
 * shows: rb_getaddrinfo_happy
 * run: dual.test PORT
 * prints: ::1
 * prints: 127.0.0.1
 */
#include <errno.h>
#include <happysock.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (argc != 3)
        return 2;
    int code = rb_getaddrinfo_happy(argv[1], argv[2], &hints, &list, 5000);
    if (code != 0) {
        fprintf(stderr, "%s: %s\n", argv[1],
                code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        return 1;
    }
    for (struct addrinfo *found = list; found != NULL;
         found = found->ai_next) {
        char address[NI_MAXHOST];
        if (getnameinfo(found->ai_addr, found->ai_addrlen, address,
                        sizeof address, NULL, 0, NI_NUMERICHOST) == 0)
            printf("%s\n", address);
    }
    freeaddrinfo(list);
    return 0;
}
