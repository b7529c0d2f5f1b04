/* A CUDA driver and its management library in one, whose answers are set by environment variables. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int setting(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static void fail_if_set(const char *crash, const char *hang) {
    if (setting(crash, 0))
        *(volatile int *)0 = 1;
    while (setting(hang, 0))
        pause();
}

int cuDriverGetVersion(int *version) {
    *version = setting("STUB_CUDA", 12040);
    return 0;
}

int cuInit(unsigned flags) {
    fail_if_set("STUB_CRASH", "STUB_HANG");
    return setting("STUB_INIT", 0);
}

int cuDeviceGetCount(int *count) {
    *count = setting("STUB_GPUS", 1);
    return setting("STUB_COUNT_ERROR", 0);
}

int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal + 40; /* a handle is no ordinal */
    return 0;
}

int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device == 40 ? "NVIDIA A10" : "NVIDIA H100 PCIe", length);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = ((size_t)(device == 40 ? 22 : 79)) << 30;
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (attribute != 75 && attribute != 76)
        return 1;
    *value = device == 40 ? (attribute == 75 ? 8 : 6) : (attribute == 75 ? 9 : 0);
    return 0;
}

int cuDeviceGetUuid(unsigned char *uuid, int device) {
    memset(uuid, device, 16);
    return 0;
}

int nvmlInit_v2(void) {
    fail_if_set("STUB_NVML_CRASH", "STUB_NVML_HANG");
    return 0;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    strncpy(version, "550.54.15", length);
    return 0;
}
