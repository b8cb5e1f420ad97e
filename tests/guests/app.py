import wit_world


class WitWorld(wit_world.WitWorld):
    def run(self, s: str) -> str:
        return "python says hello " + s
