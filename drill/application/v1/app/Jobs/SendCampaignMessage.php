<?php

namespace App\Jobs;

use App\Models\CampaignLog;
use App\Services\MessageRefused;
use App\Services\WhatsAppClient;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Throwable;

class SendCampaignMessage implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable;

    public int $tries = 10;
    public int $timeout = 30;
    public array $backoff = [5, 15, 60];

    // The id alone: a job outlives a rollback of the code and of the table, a serialized model would not.
    public function __construct(public int $logId)
    {
    }

    public function handle(WhatsAppClient $whatsApp): void
    {
        if (! CampaignLog::claim($this->logId)) {
            return;
        }

        $log = CampaignLog::with('campaign.template', 'contact')->find($this->logId);

        // Its campaign was deleted a moment ago.
        if ($log === null) {
            return;
        }

        try {
            $whatsApp->send(
                $log->message_id,
                $log->campaign->template->account,
                $log->contact->phone,
                $log->campaign->messageFor($log->contact),
            );
        } catch (MessageRefused $e) {
            $this->finish(CampaignLog::PENDING, ['error' => $e->getMessage()]);

            throw $e;
        } catch (Throwable $e) {
            // It may have gone out. Sending again could reach a customer twice, so a person decides.
            report($e);
            $this->finish(CampaignLog::FAILED, ['error' => 'Outcome unknown: '.$e->getMessage()]);

            return;
        }

        $this->finish(CampaignLog::SENT, ['error' => null, 'sent_at' => now()]);
    }

    public function failed(?Throwable $e): void
    {
        CampaignLog::move($this->logId, CampaignLog::PENDING, CampaignLog::FAILED, ['error' => $e?->getMessage()]);
    }

    private function finish(string $status, array $values): void
    {
        CampaignLog::move($this->logId, CampaignLog::SENDING, $status, $values);
    }
}
