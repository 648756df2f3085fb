/* Prints where the right hand's index fingertip is, from packets at port 5656: cc -std=c99 example.c && ./a.out */
#define _POSIX_C_SOURCE 200809L
#include "handmap.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int count, char **arguments)
{
    struct sockaddr_in address = { 0 };
    struct timeval wait = { 0, 20000 };
    int in = socket(AF_INET, SOCK_DGRAM, 0);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)(count > 1 ? atoi(arguments[1]) : HANDMAP_PORT));
    if (bind(in, (struct sockaddr *)&address, sizeof address) != 0) return 1;
    setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);

    handmap_streams streams;
    handmap_hand_state right;
    handmap_streams_init(&streams, false);
    handmap_hand_state_init(&right, HANDMAP_RIGHT, handmap_default_timing());
    for (;;) {
        static uint8_t data[HANDMAP_MAX_BYTES + 1]; /* so that a longer datagram is seen to be too long */
        handmap_packet packet;
        ssize_t size = recv(in, data, sizeof data, 0);
        int64_t now_ns = monotonic_ns();
        if (size > 0 && handmap_decode(data, (size_t)size, NULL, &packet) == HANDMAP_OK &&
            handmap_streams_take(&streams, &packet, now_ns).is_accepted)
            handmap_hand_state_see(&right, &packet, now_ns);
        const handmap_held *hand = handmap_hand_state_at(&right, now_ns);
        if (hand == NULL) continue; /* let go of, or not seen yet */
        const float *tip_m = hand->xyz_m[8];
        printf("%.3f %.3f %.3f m, follow it by %.0f %%\n", tip_m[0], tip_m[1], tip_m[2], 100 * hand->engagement);
        fflush(stdout);
    }
}
