<?php

namespace App\Console\Commands;

use App\Models\Campaign;
use App\Models\CampaignLog;
use App\Models\Contact;
use App\Models\ContactGroup;
use App\Models\Template;
use App\Models\User;
use Illuminate\Console\Command;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Hash;
use Illuminate\Support\Str;

class SeedCampaigns extends Command
{
    private const CHUNK = 2000;
    private const EVERYONE = 'Everyone';
    private const GROUPS = ['Pilot' => 5, 'Regulars' => 50, self::EVERYONE => PHP_INT_MAX];

    protected $signature = 'campaigns:seed
        {--campaigns=50 : Campaigns to have at least}
        {--contacts=2000 : Contacts to have at least}
        {--logs=20000 : Log rows to have at least}';

    protected $description = 'Fill the database up to the wanted size with finished campaigns';

    public function handle(): int
    {
        $this->seedUsers();
        $this->seedTemplates();
        $this->seedContacts((int) $this->option('contacts'));
        $this->seedGroups();
        $this->seedCampaigns((int) $this->option('campaigns'));
        $this->seedLogs((int) $this->option('logs'));

        $this->info(sprintf(
            '%d campaigns, %d contacts, %d logs.',
            Campaign::count(),
            Contact::count(),
            CampaignLog::count(),
        ));

        return self::SUCCESS;
    }

    private function seedUsers(): void
    {
        foreach (['operator', 'manager'] as $name) {
            User::firstOrCreate(
                ['email' => "{$name}@example.test"],
                ['name' => ucfirst($name), 'password' => Hash::make(Str::random(40))],
            );
        }
    }

    private function seedTemplates(): void
    {
        $templates = [
            ['name' => 'Season offer', 'account' => 'sales', 'body' => 'Hello {name}, our season offer starts today.'],
            ['name' => 'New arrivals', 'account' => 'sales', 'body' => 'Hello {name}, come and see what is new.'],
            ['name' => 'Service notice', 'account' => 'support', 'body' => 'Hello {name}, we are closed this Monday.'],
        ];

        foreach ($templates as $template) {
            Template::firstOrCreate(['name' => $template['name']], $template);
        }
    }

    private function seedContacts(int $wanted): void
    {
        $last = Contact::count();

        while ($last < $wanted) {
            $rows = [];

            foreach (range($last + 1, min($last + self::CHUNK, $wanted)) as $number) {
                // Area code 000 is never assigned, so no such number can belong to a person.
                $rows[] = ['name' => "Contact {$number}", 'phone' => sprintf('1000%07d', $number)] + $this->timestamps();
            }

            Contact::insert($rows);
            $last += count($rows);
        }
    }

    private function seedGroups(): void
    {
        foreach (self::GROUPS as $name => $size) {
            $group = ContactGroup::firstOrCreate(['name' => $name]);

            DB::insert(
                'INSERT IGNORE INTO contact_contact_group (contact_group_id, contact_id)
                 SELECT ?, id FROM contacts ORDER BY id LIMIT '.$size,
                [$group->id]
            );
        }
    }

    private function seedCampaigns(int $wanted): void
    {
        $templates = Template::orderBy('id')->pluck('id');
        $common = [
            'contact_group_id' => ContactGroup::where('name', self::EVERYONE)->value('id'),
            'user_id' => User::orderBy('id')->value('id'),
        ] + $this->timestamps();
        $rows = [];

        for ($number = Campaign::count() + 1; $number <= $wanted; $number++) {
            $rows[] = [
                'name' => "Campaign {$number}",
                'template_id' => $templates[$number % $templates->count()],
            ] + $common;
        }

        foreach (array_chunk($rows, self::CHUNK) as $chunk) {
            Campaign::insert($chunk);
        }
    }

    private function seedLogs(int $wanted): void
    {
        $missing = $wanted - CampaignLog::count();
        $campaigns = Campaign::orderBy('id')->pluck('id');

        if ($missing <= 0 || $campaigns->isEmpty() || Contact::doesntExist()) {
            return;
        }

        $share = (int) ceil($missing / $campaigns->count());

        while ($missing > 0) {
            foreach ($campaigns as $campaign) {
                // Made by the server itself: sending millions of rows through PHP takes minutes.
                $missing -= DB::affectingStatement(
                    'INSERT INTO campaign_logs
                        (campaign_id, contact_id, message_id, status, error, sent_at, created_at, updated_at)
                     SELECT ?, id, UUID(), IF(id % 50 = 0, ?, ?), IF(id % 50 = 0, ?, NULL), IF(id % 50 = 0, NULL, ?), ?, ?
                     FROM contacts ORDER BY id LIMIT '.max(0, min($share, $missing)),
                    [$campaign, CampaignLog::FAILED, CampaignLog::SENT, 'Number is not on WhatsApp.', now(), now(), now()]
                );
            }
        }
    }

    private function timestamps(): array
    {
        return ['created_at' => now(), 'updated_at' => now()];
    }
}
