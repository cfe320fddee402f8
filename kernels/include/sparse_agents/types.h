// What all interfaces have in common.
#pragma once
#ifdef __CUDACC_RTC__ // has no headers of the system's
typedef int int32_t;
typedef long long int64_t;
#else
#include <stdint.h>
#endif

typedef enum { SA_FLOAT32 = 0, SA_FLOAT64 = 1 } sa_dtype;

typedef struct sa_network sa_network;
