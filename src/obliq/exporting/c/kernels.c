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

static int32_t read_int(const uint8_t *at)
{
    const uint32_t word =
        (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    int32_t value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static float read_float(const uint8_t *at)
{
    const int32_t word = read_int(at);
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

static uint8_t clamped(float code, const struct values *y)
{
    if (!(code > (float)y->low))
        code = (float)y->low;
    if (code > (float)y->high)
        code = (float)y->high;
    return (uint8_t)((int32_t)code + y->zero);
}

/* The byte of a multiple of y's scale. `rintf` rounds halves to the even number. */
static uint8_t byte_of(float multiple, const struct values *y)
{
    return clamped(rintf(multiple), y);
}

/* The byte of a multiple of y's scale that y's zero was added to. */
static uint8_t byte_of_sum(float value, const struct values *y)
{
    return clamped(rintf(value) - (float)y->zero, y);
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

/* Where the kernel's element `tap` lies along an axis, or -1 in the padding. */
static int32_t tap_of(const struct window *window, int axis, uint32_t at, uint32_t tap)
{
    const uint32_t place = at * window->stride[axis] + tap * window->gap[axis];
    if (place < window->before[axis] || place - window->before[axis] >= window->in[axis])
        return -1;
    return (int32_t)(place - window->before[axis]);
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

/* round((bias + sum of weights times codes) * (scale of x * scale of weights / scale of y)). A linear layer is a
 * convolution over a single place. */
static void convolution(const uint8_t *image, const struct layer *layer, const struct values *x,
                        const struct values *y)
{
    const struct window *w = &layer->window;
    const uint32_t inputs = w->channels / layer->groups, outputs = layer->outputs / layer->groups;
    const int32_t refinement = image[layer->refinement];
    const uint8_t *kernel = image + layer->codes;
    uint8_t *result = y->bytes;
    uint32_t output, row, column, input, i, j;
    for (output = 0; output < layer->outputs; output++) {
        const uint8_t *group = x->bytes + (size_t)(output / outputs) * inputs * w->in[0] * w->in[1];
        const float scale = read_float(image + layer->scales + 4 * output) / (float)refinement;
        const float factor = x->scale * scale / y->scale;
        const int32_t bias = read_int(image + layer->biases + 4 * output);
        for (row = 0; row < w->out[0]; row++)
            for (column = 0; column < w->out[1]; column++) {
                const uint8_t *code = kernel;
                int32_t sum = 0;
                for (input = 0; input < inputs; input++)
                    for (i = 0; i < w->kernel[0]; i++)
                        for (j = 0; j < w->kernel[1]; j++, code++) {
                            const int32_t high = tap_of(w, 0, row, i), wide = tap_of(w, 1, column, j);
                            const int32_t weight = (int32_t)(*code ^ 128) - 128; /* two's complement */
                            size_t place;
                            if (high < 0 || wide < 0)
                                continue;
                            place = ((size_t)input * w->in[0] + (size_t)high) * w->in[1] + (size_t)wide;
                            sum += weight * ((int32_t)group[place] - x->zero);
                        }
                *result++ = byte_of((float)(bias + refinement * sum) * factor, y);
            }
        kernel += (size_t)inputs * w->kernel[0] * w->kernel[1];
    }
}

/* round(sum * (scale of x / (scale of y * count))). */
static void average_pool(const struct window *w, const struct values *x, const struct values *y)
{
    const float factor = x->scale / (y->scale * (float)(w->kernel[0] * w->kernel[1]));
    uint8_t *result = y->bytes;
    uint32_t channel, row, column, i, j;
    for (channel = 0; channel < w->channels; channel++)
        for (row = 0; row < w->out[0]; row++)
            for (column = 0; column < w->out[1]; column++) {
                int32_t sum = 0;
                for (i = 0; i < w->kernel[0]; i++)
                    for (j = 0; j < w->kernel[1]; j++) {
                        const size_t high = row * w->stride[0] + i, wide = column * w->stride[1] + j;
                        sum += (int32_t)x->bytes[(channel * w->in[0] + high) * w->in[1] + wide] - x->zero;
                    }
                *result++ = byte_of((float)sum * factor, y);
            }
}

/* The largest byte of each window; padding is never the largest. */
static void max_pool(const struct window *w, const struct values *x, const struct values *y)
{
    uint8_t *result = y->bytes;
    uint32_t channel, row, column, i, j;
    for (channel = 0; channel < w->channels; channel++)
        for (row = 0; row < w->out[0]; row++)
            for (column = 0; column < w->out[1]; column++) {
                uint8_t largest = 0;
                for (i = 0; i < w->kernel[0]; i++)
                    for (j = 0; j < w->kernel[1]; j++) {
                        const int32_t high = tap_of(w, 0, row, i), wide = tap_of(w, 1, column, j);
                        size_t place;
                        if (high < 0 || wide < 0)
                            continue;
                        place = ((size_t)channel * w->in[0] + (size_t)high) * w->in[1] + (size_t)wide;
                        if (x->bytes[place] > largest)
                            largest = x->bytes[place];
                    }
                *result++ = largest;
            }
}

/* round(a * (scale of a / scale of y) + b * (scale of b / scale of y)), on bytes and with two roundings to float. The
 * product of a byte and a float is exact in double, so that it does not matter whether it is fused with the sum. */
static void add(const struct axes *axes, const struct values *a, const struct values *b, const struct values *y)
{
    const float of_a = a->scale / y->scale, of_b = b->scale / y->scale;
    const float zeros = of_a * (float)a->zero + of_b * (float)b->zero; /* zeros are 0 or 128: exact products */
    const float constant = (float)y->zero - zeros;
    uint32_t i;
    for (i = 0; i < axes->elements; i++) {
        const double first = a->bytes[place_of(i, axes, axes->first)];
        const double second = b->bytes[place_of(i, axes, axes->second)];
        const float total = (float)(first * (double)of_a + (double)constant);
        y->bytes[i] = byte_of_sum((float)(second * (double)of_b + (double)total), y);
    }
}

/* round(a * b * (scale of a * scale of b / scale of y) + zero of y). */
static void multiply(const struct axes *axes, const struct values *a, const struct values *b,
                     const struct values *y)
{
    const float factor = a->scale * b->scale / y->scale;
    uint32_t i;
    for (i = 0; i < axes->elements; i++) {
        const int32_t first = (int32_t)a->bytes[place_of(i, axes, axes->first)] - a->zero;
        const int32_t second = (int32_t)b->bytes[place_of(i, axes, axes->second)] - b->zero;
        volatile float product = (float)(first * second) * factor; /* rounded before the zero is added */
        y->bytes[i] = byte_of_sum(product + (float)y->zero, y);
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
        y->bytes[i] = clamped((float)((int32_t)image[lookup->table + x->bytes[i]] - y->zero), y);
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
    uint32_t i;
    for (i = 0; i < axes->elements; i++)
        y->bytes[i] = x->bytes[place_of(i, axes, axes->first)];
}
