/* The world hello without any library: the canonical ABI by hand. */
typedef __SIZE_TYPE__ size_t;
typedef struct { const char *data; size_t size; } text;

static char heap[65536];
static size_t top;

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)old, (void)old_size;
  top = (top + align - 1) / align * align;
  if (top + size > sizeof heap) __builtin_trap();
  top += size;
  return heap + top - size;
}

__attribute__((export_name("run"))) text *run(const char *name, size_t size) {
  static const char greeting[] = "c says hello ";
  static text answer;
  char *out = cabi_realloc(0, 0, 1, sizeof greeting - 1 + size);
  size_t at = 0;
  for (size_t i = 0; i < sizeof greeting - 1; ++i) out[at++] = greeting[i];
  for (size_t i = 0; i < size; ++i) out[at++] = name[i];
  answer.data = out;
  answer.size = at;
  return &answer;
}

__attribute__((export_name("cabi_post_run"))) void post_run(text *answer) {
  (void)answer;
  top = 0;
}
