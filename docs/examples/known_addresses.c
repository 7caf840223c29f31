/* Addresses that the program knows already, from service discovery or a cache of its own, are raced without a lookup.
 *
 * shows: happy_options
 * run: PORT
 * prints: connected to 203.0.113.1:PORT
 */
#include <arpa/inet.h>
#include <happysock.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    struct sockaddr_in dead = {.sin_family = AF_INET},
                       four = {.sin_family = AF_INET};
    char message[256];
    if (argc != 2)
        return 2;
    dead.sin_port = four.sin_port = htons((uint16_t)atoi(argv[1]));
    inet_pton(AF_INET, "192.0.2.77", &dead.sin_addr);
    inet_pton(AF_INET, "203.0.113.1", &four.sin_addr);
    struct addrinfo second = {.ai_addr = (struct sockaddr *)&four,
                              .ai_addrlen = sizeof four};
    struct addrinfo first = {.ai_addr = (struct sockaddr *)&dead,
                             .ai_addrlen = sizeof dead,
                             .ai_next = &second};
    options.addresses = &first;
    int fd = init_inetsock_happy(NULL, NULL, &options, &result);
    happy_result_message(&result, message, sizeof message);
    printf("%s\n", message);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : 1;
}
