"""Training runs that differ in their seed alone, as one population: each observed, kept and concluded as if alone."""

from collections.abc import Sequence

from normlab.population.stack import Population
from normlab.processes.stopping import StopRequest
from normlab.training.checkpoints import Cadence
from normlab.training.module import stretches
from normlab.training.session import Session


def fit_together(sessions: Sequence[Session], request: StopRequest) -> None:
    """Train all runs to their last update, or until a stop is asked for or all have diverged.

    Args:
        sessions: of the runs, which `why_not_together` found nothing against.
        request: what stops the training.
    """
    modules = [session.module for session in sessions]
    population = Population(modules)
    request.when_asked = population.ask_to_stop
    if request.signal is not None:  # asked before training began
        return
    cadence = Cadence()
    first = sessions[0]
    for steps in stretches(first.module.updates, first.settings["steps"], first.observer.is_due):
        population.train(steps)
        for session in sessions:
            # One that diverged earlier has ended; one that just did is observed like the others.
            if session.module.updates == steps.stop:
                session.observer.observe(session.module, session.loggers)
        if population.stop_asked or all(module.diverged_at is not None for module in modules):
            break
        if cadence.is_due:
            with cadence.writing():
                population.hand_out_optimizer_states()
                for session in sessions:
                    session.checkpoints.save(session.module)
    population.hand_out_optimizer_states()
