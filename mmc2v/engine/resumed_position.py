"""Where a resumed run is: in its schedule, and whether its last validation is still to be done."""
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

# In the message hub, and so in every checkpoint: [epoch, iter] of its last validation.
VALIDATED = 'validated_at'


def fit_position(checkpoint: dict, runner: Runner, rescale: bool) -> None:
    """Compare the iterations of an epoch in a checkpoint with those of a loop of epochs.

    Another number of processes, batch size or number of captions changes them. Schedules count
    iterations, so they would end early or late.

    Args:
        checkpoint (dict): As loaded to resume from; rescaling changes it in place.
        runner (Runner): With its train loop and schedulers built.
        rescale (bool): Whether to go on at the same share of the schedule. Iterations are counted
            as if all epochs had been as long as they are now.

    Raises:
        ValueError: If they differ and nobody wants to rescale, or there is no epoch to go by.
    """
    meta, length = checkpoint['meta'], len(runner.train_loop.dataloader)
    epoch, iteration = meta['epoch'], meta['iter']
    if iteration == epoch * length:
        return
    if epoch == 0:
        raise ValueError(f'cannot resume: the checkpoint is of a loop of iterations, after '
                         f"{iteration} of them. Set train_cfg.type='IterBasedTrainLoop' as it had")
    if not rescale:
        raise ValueError(
            f'cannot resume: an epoch had {iteration / epoch:g} iterations when the checkpoint was '
            f'written, and has {length} now, so that the schedule would not fit. Use as many '
            'processes, the batch size and the data that it was trained with, or go on at the same '
            'share of the schedule: --cfg-options default_hooks.checkpoint.rescale_schedule=True')
    meta['iter'] = step = epoch * length
    runner.logger.warning(
        f'an epoch had {iteration / epoch:g} iterations and has {length} now: training goes on '
        f'after epoch {epoch} as if {step} iterations had been trained, not {iteration}')
    for scheduler, state in zip(runner.param_schedulers or [],
                                checkpoint.get('param_schedulers', [])):
        if not scheduler.by_epoch:  # of its length is what it was built with now
            rates = {key: state[key] for key in ('base_values', '_last_value')}
            state.update(scheduler.state_dict(), **rates, _global_step=step, last_step=max(
                -1, min(step, scheduler.end - 1) - scheduler.begin))


def lacks_validation(runner: Runner) -> bool:
    """Whether a loaded checkpoint is of a step after which a validation is due and was not done."""
    loop = runner.train_loop
    if runner.val_loop is None or not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return False
    loop._decide_current_val_interval()
    if isinstance(loop, EpochBasedTrainLoop):
        step, last, place = runner.epoch, loop.max_epochs, 0
    else:
        step, last, place = runner.iter, loop.max_iters, 1
    is_due = step >= loop.val_begin and (step % loop.val_interval == 0 or step == last)
    done = runner.message_hub.runtime_info.get(VALIDATED) or (None, None)
    return is_due and done[place] != step
