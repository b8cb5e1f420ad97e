int main(int count, char**) {
  int unused = 0;
  return count > 1 ? 1 : 0;
}
