/* On a network without IPv4 an IPv4 address is reached through the network's translator (NAT64), if it has one.
 *
 * shows: happy_options
 * run: 203.0.113.1 PORT
 * prints: connected to 203.0.113.1:PORT
 * prints: directly
 */
#include <arpa/inet.h>
#include <happysock.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    char message[256], text[INET_ADDRSTRLEN];
    if (argc != 3)
        return 2;
    options.nat64 = "discover";
    int fd = init_inetsock_happy(argv[1], argv[2], &options, &result);
    happy_result_message(&result, message, sizeof message);
    printf("%s\n", message);
    if (fd < 0)
        return 1;
    if (result.synthesized) {
        struct in_addr from = {.s_addr = result.synthesized_from};
        inet_ntop(AF_INET, &from, text, sizeof text);
        printf("which leads to %s\n", text);
    } else {
        printf("directly\n");
    }
    close(fd);
    return 0;
}
