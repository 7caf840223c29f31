/* A host may say in the DNS where its service is reached and what is spoken there (HTTPS records): a connect follows that.
 *
 * shows: happy_options happy_result
 * run: dual.test PORT
 * prints: connected
 * prints: to an address of the host's own
 */
#include <happysock.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    char buffer[4096], message[256];
    if (argc != 3)
        return 2;
    options.service = "https";
    options.alpn = "h2,http/1.1";
    result.binding_buffer = buffer;
    result.binding_capacity = sizeof buffer;
    int fd = init_inetsock_happy(argv[1], argv[2], &options, &result);
    if (fd < 0) {
        happy_result_message(&result, message, sizeof message);
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    printf("connected\n");
    if (result.binding_length == 0)
        printf("to an address of the host's own\n");
    if (result.binding_length > sizeof buffer)
        printf("by a binding of %zu bytes: no room\n", result.binding_length);
    if (result.binding_target && result.binding_alpn)
        printf("to %s: %s\n", result.binding_target, result.binding_alpn);
    if (result.binding_ech)
        printf("for TLS: %zu bytes of ECH\n", result.binding_ech_length);
    /* The handshake names argv[1], whatever name was connected to. */
    close(fd);
    return 0;
}
