/* An activation: a byte stands for the real number scale * (byte - zero). */
struct values {
    uint8_t *bytes;
    float scale;    /* one step in real numbers */
    int32_t low;    /* the smallest code */
    int32_t high;   /* the largest one */
    int32_t zero;   /* the byte that stands for the code 0 */
};

/* A window over two axes of space; signals have a height of 1. */
struct window {
    uint32_t channels, in[2], out[2];
    uint32_t kernel[2], stride[2], before[2], gap[2];
};

/* How to walk through activations of other shapes, row by row; a stride of 0 repeats an axis. */
struct axes {
    uint32_t elements, count;
    uint32_t sizes[8], first[8], second[8];
};

/* `refinement`, `codes`, `scales`, `biases` and `table` are places in the image. */
struct layer {
    struct window window;
    uint32_t outputs, groups;
    uint32_t refinement, codes, scales, biases;
};

struct lookup {
    uint32_t elements, table;
};

/* `outer` blocks of `inner` values, which go to blocks of `stride` values from `offset` on. */
struct part {
    uint32_t outer, inner, stride, offset;
};

/* From `outer` blocks of `size` rows, the rows at `places`; a row has `inner` values. */
struct rows {
    uint32_t outer, size, inner, count;
    const uint32_t *places;
};

static uint32_t read_word(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static float read_float(const uint8_t *at)
{
    const uint32_t word = read_word(at);
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

/* The activation with this number, at this place of the scratch memory. */
static struct values values_of(const uint8_t *image, uint8_t *bytes, size_t number, int32_t zero)
{
    struct values found;
    found.bytes = bytes;
    found.scale = read_float(image + IMAGE_SCALES + 4 * number);
    found.low = (int32_t)image[IMAGE_RANGES + 2 * number] - zero;
    found.high = (int32_t)image[IMAGE_RANGES + 2 * number + 1] - zero;
    found.zero = zero;
    return found;
}

/* The whole number next to a value, which is brought between two whole numbers below 2^22 first. The sum with 1.5 * 2^23
 * has no room for fractions and is rounded, halves to the even number. What is no number becomes the smaller one. */
static int32_t rounded(float value, int32_t low, int32_t high)
{
    if (!(value > (float)low))
        value = (float)low;
    if (value > (float)high)
        value = (float)high;
    value += 12582912.0f;
    return (int32_t)(value - 12582912.0f);
}

/* The byte of a multiple of y's scale. */
static uint8_t byte_of(float multiple, const struct values *y)
{
    return (uint8_t)(rounded(multiple, y->low, y->high) + y->zero);
}

/* The byte of a multiple of y's scale that y's zero was added to. */
static uint8_t byte_of_sum(float value, const struct values *y)
{
    return (uint8_t)rounded(value, y->low + y->zero, y->high + y->zero);
}

/* Where the element at `index` lies in an activation with these strides. */
static size_t place_of(size_t index, const struct axes *axes, const uint32_t *strides)
{
    size_t place = 0, axis = axes->count;
    while (axis-- > 0) {
        place += index % axes->sizes[axis] * strides[axis];
        index /= axes->sizes[axis];
    }
    return place;
}

/* round(x / s); 1 where an x is not a number. */
static int quantize(const float *input, uint32_t elements, const struct values *y)
{
    uint32_t i;
    for (i = 0; i < elements; i++) {
        if (isnan(input[i]))
            return 1;
        y->bytes[i] = byte_of(input[i] / y->scale, y);
    }
    return 0;
}

/* round(a * (scale of a / scale of y) + b * (scale of b / scale of y)), on bytes and with two roundings to float: each
 * product is fused with its sum. */
static void add(const struct axes *axes, const struct values *a, const struct values *b, const struct values *y)
{
    const float of_a = a->scale / y->scale, of_b = b->scale / y->scale;
    const float zeros = of_a * (float)a->zero + of_b * (float)b->zero; /* zeros are 0 or 128: exact products */
    const float constant = (float)y->zero - zeros;
    const uint32_t last = axes->count - 1, length = axes->sizes[last];
    uint8_t *result = y->bytes;
    uint32_t start, i;
    for (start = 0; start < axes->elements; start += length) {
        const uint8_t *first = a->bytes + place_of(start, axes, axes->first);
        const uint8_t *second = b->bytes + place_of(start, axes, axes->second);
        for (i = 0; i < length; i++) {
            const float total = fmaf((float)first[i * axes->first[last]], of_a, constant);
            *result++ = byte_of_sum(fmaf((float)second[i * axes->second[last]], of_b, total), y);
        }
    }
}

/* round(a * b * (scale of a * scale of b / scale of y) + zero of y). */
static void multiply(const struct axes *axes, const struct values *a, const struct values *b,
                     const struct values *y)
{
    const float factor = a->scale * b->scale / y->scale;
    const uint32_t last = axes->count - 1, length = axes->sizes[last];
    uint8_t *result = y->bytes;
    uint32_t start, i;
    for (start = 0; start < axes->elements; start += length) {
        const uint8_t *first = a->bytes + place_of(start, axes, axes->first);
        const uint8_t *second = b->bytes + place_of(start, axes, axes->second);
        for (i = 0; i < length; i++) {
            const int32_t one = (int32_t)first[i * axes->first[last]] - a->zero;
            const int32_t other = (int32_t)second[i * axes->second[last]] - b->zero;
            volatile float product = (float)(one * other) * factor; /* rounded before the zero is added */
            *result++ = byte_of_sum(product + (float)y->zero, y);
        }
    }
}

/* round(x * scale of x / scale of y), into a part of y. */
static void rescale(const struct part *part, const struct values *x, const struct values *y)
{
    uint32_t block, i;
    for (block = 0; block < part->outer; block++)
        for (i = 0; i < part->inner; i++) {
            const int32_t code = (int32_t)x->bytes[block * part->inner + i] - x->zero;
            y->bytes[block * part->stride + part->offset + i] =
                byte_of((float)code * x->scale / y->scale, y);
        }
}

/* The byte that a table has for each byte. */
static void look_up(const uint8_t *image, const struct lookup *lookup, const struct values *x,
                    const struct values *y)
{
    uint32_t i;
    for (i = 0; i < lookup->elements; i++)
        y->bytes[i] = byte_of_sum((float)image[lookup->table + x->bytes[i]], y);
}

/* Rows of an axis, in another order. */
static void take(const struct rows *rows, const struct values *x, const struct values *y)
{
    uint32_t block, i;
    uint8_t *result = y->bytes;
    for (block = 0; block < rows->outer; block++)
        for (i = 0; i < rows->count; i++, result += rows->inner)
            memcpy(result, x->bytes + ((size_t)block * rows->size + rows->places[i]) * rows->inner, rows->inner);
}

/* The same values with their axes in another order. */
static void transpose(const struct axes *axes, const struct values *x, const struct values *y)
{
    const uint32_t last = axes->count - 1, length = axes->sizes[last];
    uint8_t *result = y->bytes;
    uint32_t start, i;
    for (start = 0; start < axes->elements; start += length) {
        const uint8_t *from = x->bytes + place_of(start, axes, axes->first);
        for (i = 0; i < length; i++)
            *result++ = from[i * axes->first[last]];
    }
}
