/* A CUDA driver for tests: one device with the facts of an Orin; FAIL_AT names a function that returns error 100. */
#include <stdlib.h>
#include <string.h>

static int answer(const char *name) {
    const char *failing = getenv("FAKE_CUDA_FAIL_AT");
    return failing && strcmp(failing, name) == 0 ? 100 : 0;
}

int cuInit(unsigned flags) { return flags ? 1 : answer("cuInit"); }

int cuDeviceGet(int *device, int ordinal) {
    *device = 41;
    return ordinal == 0 ? answer("cuDeviceGet") : 101;
}

int cuDeviceGetName(char *name, int length, int device) {
    if (device != 41) return 101;
    strncpy(name, "Orin", (size_t)length);
    return answer("cuDeviceGetName");
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (device != 41) return 101;
    *value = attribute == 16 ? 8 : attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
    return answer("cuDeviceGetAttribute");
}

int cuGetErrorString(int error, const char **text) {
    *text = error == 100 ? "no CUDA-capable device is detected" : "invalid device ordinal";
    return 0;
}
