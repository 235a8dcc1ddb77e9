/* SHA-256 (FIPS 180-4), fed in pieces. */
#ifndef OBLIQ_SHA256_H
#define OBLIQ_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct obliq_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};

void obliq_sha256_start(struct obliq_sha256 *hash);
void obliq_sha256_add(struct obliq_sha256 *hash, const uint8_t *data, size_t length);
void obliq_sha256_finish(struct obliq_sha256 *hash, uint8_t digest[32]);

#endif
