<?php

namespace App\Console\Commands;

use App\Services\PendingMessages;
use Illuminate\Console\Command;

class RequeueMessages extends Command
{
    protected $signature = 'campaigns:requeue';

    protected $description = 'Queue unsent messages that have no job any more';

    public function handle(PendingMessages $messages): int
    {
        $this->info("Requeued {$messages->requeue()} messages.");

        return self::SUCCESS;
    }
}
