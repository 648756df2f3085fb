/* Nanoseconds that handmap.h takes for each datagram on stdin (a name and its bytes in hexadecimal a line), of the best
   of many runs. */
#define _POSIX_C_SOURCE 200809L
#include "handmap.h"

#include <stdio.h>
#include <time.h>

enum { RUNS = 200, EACH = 500 };

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(void)
{
    static char line[2 * HANDMAP_MAX_BYTES + 200];
    static handmap_packet packet;
    static handmap_keys keys;
    handmap_add_key(&keys, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    while (fgets(line, sizeof line, stdin) != NULL) {
        uint8_t data[HANDMAP_MAX_BYTES], again[HANDMAP_MAX_BYTES];
        char name[80];
        size_t size = 0, again_bytes = 0;
        unsigned value, wrong = 0;
        double best_decode_ns = 1e9, best_encode_ns = 1e9;
        char *hex = strchr(line, ' ');
        const handmap_keys *with = strncmp(line, "sealed", 6) == 0 ? &keys : NULL;
        int run, i;
        if (hex == NULL || sscanf(line, "%79s", name) != 1) return 1;
        for (hex++; size < sizeof data && sscanf(hex, "%2x", &value) == 1; hex += 2) data[size++] = (uint8_t)value;
        for (run = 0; run < RUNS; run++) {
            double start_ns = now_ns(), between_ns, end_ns;
            for (i = 0; i < EACH; i++) wrong += handmap_decode(data, size, with, &packet) != HANDMAP_OK;
            between_ns = now_ns();
            for (i = 0; i < EACH; i++)
                wrong += handmap_encode(&packet, with, again, sizeof again, &again_bytes) != HANDMAP_OK;
            end_ns = now_ns();
            if ((between_ns - start_ns) / EACH < best_decode_ns) best_decode_ns = (between_ns - start_ns) / EACH;
            if ((end_ns - between_ns) / EACH < best_encode_ns) best_encode_ns = (end_ns - between_ns) / EACH;
        }
        if (wrong || again_bytes != size || memcmp(again, data, size) != 0) return 1;
        printf("%s %u %.0f %.0f\n", name, (unsigned)size, best_decode_ns, best_encode_ns);
    }
    return 0;
}
